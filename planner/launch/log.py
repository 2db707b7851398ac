"""The log of a run: a line per step, on the terminal and in `log.jsonl`, by rank 0."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from corpora.errors import AssayError, ConfigError
from planner.files import put
from planner.hardware import find
from planner.launch.settings import Settings, Source

FLOPS_PER_PARAMETER = 6  # and token, forward and backward: Kaplan et al. 2020, arXiv:2001.08361, section 2.1


class Log:
    """`log.jsonl` of a run on `world` devices that goes on from step `begin`; later lines, done again, are dropped."""

    def __init__(
        self, out: Path, settings: Settings, sources: Sequence[Source], device: torch.device, world: int, begin: int
    ) -> None:
        self.path, self.settings, self.sources, self.world = out / "log.jsonl", settings, sources, world
        self.tokens = settings.schedule.batch * settings.data.sequence
        self.peak = peak(device)
        kept = [line for line in lines(self.path) if line["step"] <= begin]
        put(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._say(
            f"{settings.plan.name}: {settings.model.params:,} parameters, {world} {device.type} ranks, "
            + (f"on from step {begin}" if begin else "from the beginning")
        )

    def write(self, step: int, figures: dict[str, float], consumed: Sequence[int], seconds: float) -> None:
        """Note a step that ended `seconds` after the one before; `consumed`: rows of each source so far."""
        speed = self.tokens / seconds
        line = {"step": step} | figures | {"tokens": step * self.tokens, "tokens_per_second": speed}
        if self.peak:
            line["mfu"] = FLOPS_PER_PARAMETER * self.settings.model.params * speed / (self.peak * self.world)
        self._say(
            f"step {step}/{self.settings.schedule.steps}  loss {figures['loss']:.4f}  rate "
            f"{figures['rate']:.3g}  {step * self.tokens:,} tokens  {speed:,.0f} tokens/s"
            + (f"  MFU {line['mfu']:.1%}" if self.peak else "")
        )
        line["rows"] = {source.source: rows for source, rows in zip(self.sources, consumed)}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise AssayError(f"{self.path.absolute()} cannot be written: {error.strerror}") from None

    def summary(self) -> None:
        """Say what was consumed of each source, which of them repeated, and how the loss went."""
        written = lines(self.path)
        if not written:
            return
        first, last = written[0], written[-1]
        width = max(len(source.source) for source in self.sources)
        for source in self.sources:
            consumed = last["rows"][source.source] * self.settings.data.sequence
            epochs = consumed / max(source.available, 1)
            self._say(
                f"{source.source:{width}}  {consumed:>15,} of {source.tokens:,} planned tokens, {epochs:.3f} epochs"
                + (": it repeated" if consumed >= source.available else "")
            )
        self._say(f"loss {first['loss']:.4f} at step {first['step']}, {last['loss']:.4f} at step {last['step']}")

    def _say(self, text: str) -> None:
        print(text, flush=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a `log.jsonl`, none where there is no file; a last one that a crash tore is left out.

    Raises AssayError where another line is damaged.
    """
    written = path.read_bytes().splitlines() if path.exists() else []
    found = []
    for number, line in enumerate(written, 1):
        try:
            parsed = json.loads(line)
            parsed["step"] + 0
        except (ValueError, TypeError, LookupError):
            if number < len(written):
                raise AssayError(f"{path.absolute()} is damaged in line {number}: move it away, or mend it") from None
        else:
            found.append(parsed)
    return found


def peak(device: torch.device) -> float | None:
    """Dense FLOP/s of the GPU, where `planner/facts/gpus.csv` knows it: NVIDIA H100 80GB HBM3 is H100-SXM-80GB."""
    if device.type != "cuda":
        return None
    name = re.sub(r"NVIDIA |HBM\w*|(?<=SXM)\d", "", torch.cuda.get_device_name(device))
    try:
        return find(name).peak
    except ConfigError:
        return None
