"""Profiles: thresholds on signals, as data. What a document is dropped for is decided here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpora import catalog
from corpora.config import build, digest, locate, read, take_tables
from corpora.errors import ConfigError
from corpora.lake import Lake
from corpora.schema import SIGNALS

BUILT_IN = Path(__file__).parent / "profiles"
OWN = Path("assay.d/profiles")
MAX_RULES = 64  # the ledger's set of failed rules is 64 bits


@dataclass(frozen=True)
class Rule:
    """A document fails a rule when the signal is below `minimum` or above `maximum`; one that has no value passes."""

    name: str
    """What the ledger gives as the reason."""
    column: str
    """Signal that is measured: a column of `schema.SIGNALS`."""
    source: str
    """Paper or tool that the rule and its limits come from."""
    minimum: float | None = None
    """Least value that passes."""
    maximum: float | None = None
    """Greatest value that passes."""

    def __post_init__(self) -> None:
        if self.column not in SIGNALS.names or self.column == "doc_id":
            known = ", ".join(name for name in SIGNALS.names if name != "doc_id")
            raise ValueError(f"rule {self.name!r} is on an unknown column {self.column!r}; there are {known}")
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"rule {self.name!r} can never fail a document: give it a minimum or a maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"rule {self.name!r} fails every document: its minimum is above its maximum")
        if self.maximum is None and self.minimum <= 0:
            raise ValueError(f"rule {self.name!r} can never fail a document: no signal is below {self.minimum}")


@dataclass(frozen=True)
class Profile:
    """An ordered list of rules; the first that fails is the reason a document is dropped."""

    name: str
    description: str
    rules: tuple[Rule, ...]

    @property
    def fingerprint(self) -> str:
        """sha256 of what decides: the rules with their limits, in order."""
        return digest([(rule.name, rule.column, rule.minimum, rule.maximum) for rule in self.rules])


@dataclass(frozen=True)
class Verdicts:
    """What a profile says of n documents."""

    failed: np.ndarray
    """uint64 (n,): the rules that fail, as bits in the profile's order."""
    first: np.ndarray
    """int64 (n,): index of the first rule that fails, -1 where none does."""
    measured: np.ndarray
    """float64 (n,): value that failed the first rule; NaN where none does."""
    threshold: np.ndarray
    """float64 (n,): limit that it failed; NaN where none does."""

    @property
    def dropped(self) -> np.ndarray:
        """bool (n,): documents that some rule fails."""
        return self.first >= 0


def load(name: str) -> Profile:
    """The profile of that name: the user's own before the built-in one.

    Raises ConfigError for an unknown name, for two rules of one name, and for a rule on an unknown column or one that
    can match nothing.
    """
    path = locate("profile", name, (OWN, BUILT_IN))
    table = read(path)
    for key in ("name", "rules"):
        if key in table:
            raise ConfigError(f"{path}: unknown key {key!r}; a profile has the name of its file, and [[rule]]")
    rules = [build(Rule, rule, f"{path} [[rule]]") for rule in take_tables(table, "rule", str(path))]
    if len(rules) > MAX_RULES:
        raise ConfigError(f"{path}: {len(rules)} rules, more than {MAX_RULES}")
    if twice := [rule.name for i, rule in enumerate(rules) if any(rule.name == other.name for other in rules[:i])]:
        raise ConfigError(f"{path}: two rules are named {twice[0]!r}: the ledger could not tell them apart")
    return build(Profile, {"name": name, "rules": rules, **table}, str(path))


def of_corpus(name: str) -> Profile:
    """The profile of the corpus of that name, as it is now. Raises ConfigError as `load` and `catalog.load` do."""
    return load(catalog.load(name).profile)


def of_lake(lake: Lake) -> dict[str, Profile]:
    """The profile of each corpus in the lake, as it is now.

    Raises ConfigError for a corpus that is described in another folder than this one.
    """
    held = lake.corpora()
    if unknown := sorted(set(held) - set(catalog.names())):
        raise ConfigError(
            f"{lake.url} holds the corpus {unknown[0]}, which no {catalog.OWN}/{unknown[0]}.toml describes here: go to "
            "the folder that has it"
        )
    return {name: of_corpus(name) for name in held}


def judge(signals: pa.RecordBatch, profile: Profile) -> Verdicts:
    """Apply every rule of a profile to a batch of `schema.SIGNALS`."""
    n = signals.num_rows
    failed, first = np.zeros(n, np.uint64), np.full(n, -1)
    measured, threshold = np.full(n, np.nan), np.full(n, np.nan)
    for index, rule in enumerate(profile.rules):
        value = signals[rule.column].cast(pa.float64()).to_numpy(zero_copy_only=False)  # null becomes NaN, which passes
        minimum = -np.inf if rule.minimum is None else rule.minimum
        maximum = np.inf if rule.maximum is None else rule.maximum
        below = value < minimum
        fails = below | (value > maximum)
        failed |= fails.astype(np.uint64) << np.uint64(index)
        new = fails & (first < 0)
        first[new], measured[new] = index, value[new]
        threshold[new] = np.where(below, minimum, maximum)[new]
    return Verdicts(failed, first, measured, threshold)
