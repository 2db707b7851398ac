"""What a launch folder says: `pretrain.toml`, which people may edit, and `data.json`, which lists the parts.

`python -P -m planner.launch.settings pretrain.toml [--ranks N]` checks both, that every part is there, and that N ranks
can share a batch, without torch.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpora.config import build, digest
from corpora.config import read as read_toml
from corpora.errors import AssayError, ConfigError
from corpora.lake import Lake
from corpora.part import Part


def _positive(table: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(table, name) < math.inf:
            raise ValueError(f"{name} must be above 0, not {getattr(table, name)!r}")


def _not_negative(table: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(table, name) < math.inf:
            raise ValueError(f"{name} must not be negative, but is {getattr(table, name)!r}")


@dataclass(frozen=True)
class PlanName:
    """Which plan is launched."""

    name: str
    digest: str
    """sha256 of the bytes of `plan.json`, 64 hex digits."""


@dataclass(frozen=True)
class Model:
    """A decoder of the LLaMA kind: RMSNorm, rotary positions, SwiGLU, no biases, tied embeddings."""

    layers: int
    width: int
    heads: int
    head_size: int
    ffn: int
    """Width of the feed-forward layer."""
    vocabulary: int
    """Rows of the embedding; every id is below it."""

    def __post_init__(self) -> None:
        _positive(self, "layers", "width", "heads", "head_size", "ffn", "vocabulary")
        if self.head_size % 2:
            raise ValueError(f"head_size must be even, not {self.head_size}: rotary positions turn pairs")

    @property
    def params(self) -> int:
        """Exact count: embedding; per layer attention, SwiGLU and two norms; final norm."""
        layer = 4 * self.width * self.heads * self.head_size + 3 * self.width * self.ffn + 2 * self.width
        return self.vocabulary * self.width + self.layers * layer + self.width


@dataclass(frozen=True)
class Data:
    """What is read, and how it becomes rows."""

    lake: str
    """Path or URL of the lake; a relative path counts from the folder of `pretrain.toml`."""
    manifest: str
    """File name of the list of parts."""
    end_of_document: int
    """Id that follows every document."""
    sequence: int
    """Tokens of one row."""
    seed: int
    """Of the order of row groups and of documents in them."""

    def __post_init__(self) -> None:
        _positive(self, "sequence")


@dataclass(frozen=True)
class Schedule:
    """The optimizer steps."""

    steps: int
    batch: int
    """Rows of one optimizer step, over all ranks."""
    warmup_steps: int
    peak_rate: float
    final_rate: float

    def __post_init__(self) -> None:
        _positive(self, "steps", "batch", "peak_rate")
        _not_negative(self, "warmup_steps", "final_rate")

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 1: linear up to the peak, then a cosine, `final_rate` at the last."""
        if step >= self.steps:
            return self.final_rate
        if step <= self.warmup_steps:
            return self.peak_rate * step / self.warmup_steps
        turn = math.pi * (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        return self.final_rate + (self.peak_rate - self.final_rate) * (1 + math.cos(turn)) / 2


@dataclass(frozen=True)
class Optimizer:
    """AdamW."""

    beta1: float
    beta2: float
    weight_decay: float
    """Of matrices; norms have none."""
    clip: float
    """Largest norm of the gradient of a step."""

    def __post_init__(self) -> None:
        _positive(self, "clip")
        _not_negative(self, "weight_decay")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be from 0 up to below 1, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class Run:
    """What may differ from machine to machine."""

    micro_batch: int
    """Rows of one forward pass of one rank: memory grows with it, results do not depend on it."""
    checkpoint_every: int
    """Steps."""
    keep: int
    """Newest checkpoints that stay; older ones are deleted."""
    seed: int
    """Of the initial weights."""

    def __post_init__(self) -> None:
        _positive(self, "micro_batch", "checkpoint_every", "keep")


@dataclass(frozen=True)
class Settings:
    """`pretrain.toml`."""

    plan: PlanName
    model: Model
    data: Data
    schedule: Schedule
    optimizer: Optimizer
    run: Run

    def __post_init__(self) -> None:
        if not 0 <= self.data.end_of_document < self.model.vocabulary:
            raise ValueError(
                f"data.end_of_document {self.data.end_of_document} is no id below model.vocabulary "
                f"{self.model.vocabulary}"
            )


@dataclass(frozen=True)
class TokenPart(Part):
    """A part of token lists, as `data.json` lists it."""

    groups: tuple[int, ...]
    """Training tokens of each row group: those of its documents of the split `train`, and one more for each."""


@dataclass(frozen=True)
class Source:
    """One source of the mix, as `data.json` lists it."""

    source: str
    """Name of the corpus in the lake."""
    group: str
    share: float
    """Of the run's training tokens, as the mix asks for it."""
    tokens: int
    """Training tokens that the plan asks of it: it has rows in proportion."""
    available: int
    """Training tokens that it has, in all of its parts."""
    manifest: str
    """The ledger manifest whose parts these are."""
    parts: tuple[TokenPart, ...]
    """Its token parts."""

    def __post_init__(self) -> None:
        if (found := sum(sum(part.groups) for part in self.parts)) != self.available:
            raise ValueError(
                f"the parts of {self.source} have {found:,} training tokens, and {self.available:,} were counted"
            )


def read(path: Path) -> Settings:
    """`pretrain.toml`, checked. A relative lake becomes absolute. Raises ConfigError, in one sentence."""
    try:
        table = read_toml(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    return checked(table, path)


def checked(table: dict[str, Any], path: Path) -> Settings:
    """The settings in the table of a `pretrain.toml` that lies, or will lie, at `path`; raises as `read` does."""
    kinds = {"plan": PlanName, "model": Model, "data": Data, "schedule": Schedule, "optimizer": Optimizer, "run": Run}
    tables = {name: build(kinds[name], t, f"{path} [{name}]") if name in kinds else t for name, t in table.items()}
    settings = build(Settings, tables, str(path))
    folder, lake = path.resolve().parent, settings.data.lake
    if "://" not in lake:
        lake = str(folder / lake)
    return replace(settings, data=replace(settings.data, lake=lake, manifest=str(folder / settings.data.manifest)))


def sources(settings: Settings) -> tuple[Source, ...]:
    """The sources of `data.json`. Raises AssayError where it is gone, damaged, or another plan's."""
    path = Path(settings.data.manifest)
    again = f"run `assay launch` again for the plan {settings.plan.name}"
    try:
        listed = json.loads(path.read_bytes())
        plan, entries = listed["plan"], listed["sources"]
        found = tuple(
            build(Source, entry | {"parts": [build(TokenPart, p, str(path)) for p in entry["parts"]]}, str(path))
            for entry in entries
        )
    except OSError as error:
        raise AssayError(f"{path} cannot be read ({error.strerror}): {again}") from None
    except (ValueError, LookupError, TypeError) as error:
        raise AssayError(f"{path} is damaged ({error}): {again}") from None
    if plan != settings.plan.digest:
        raise AssayError(f"{path} lists the data of another plan than pretrain.toml names: {again}")
    return found


def verify(settings: Settings, listed: Sequence[Source]) -> None:
    """Check that every part is in the lake with its size. Raises AssayError, naming the first that is not."""
    lake = Lake(settings.data.lake)
    missing = []
    for source in listed:
        room = lake.room(source.source)
        sizes = room.sizes("tokens")
        missing += [room.path("tokens", p.sha256) for p in source.parts if sizes.get(p.sha256) != p.bytes]
    if missing:
        total = sum(len(source.parts) for source in listed)
        raise AssayError(
            f"{len(missing):,} of {total:,} parts are missing or cut short, first {missing[0]}: run `assay reconcile "
            f"{lake.option}`, then `assay plan` and `assay launch` again, or set `lake` in pretrain.toml if it "
            "moved"
        )


def identity(settings: Settings, listed: Sequence[Source]) -> dict[str, Any]:
    """What a run shares with every checkpoint that it goes on from: all that decides shapes and the order of data."""
    return {
        "plan": settings.plan.digest,
        "[model]": digest(settings.model),
        "sequence": settings.data.sequence,
        "end_of_document": settings.data.end_of_document,
        "[data] seed": settings.data.seed,
        "steps": settings.schedule.steps,
        "batch": settings.schedule.batch,
        "data.json": digest(listed),
    }


def dealt(settings: Settings, ranks: int) -> int:
    """Rows of a batch for each rank. Raises AssayError where they cannot be dealt evenly."""
    if settings.schedule.batch % ranks:
        raise AssayError(
            f"a batch of {settings.schedule.batch:,} rows cannot be dealt to {ranks:,} ranks evenly: start a number of "
            "ranks that divides it"
        )
    return settings.schedule.batch // ranks


def main() -> None:
    """Check a `pretrain.toml`: silent where all is well."""
    parser = argparse.ArgumentParser(description="Check a launch folder.")
    parser.add_argument("settings", type=Path, metavar="pretrain.toml")
    parser.add_argument("--ranks", type=int, default=1, metavar="N", help="how many will train, over all nodes")
    arguments = parser.parse_args()
    try:
        settings = read(arguments.settings)
        dealt(settings, arguments.ranks)
        verify(settings, sources(settings))
    except AssayError as error:
        print(f"assay: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
