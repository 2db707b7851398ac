"""Mixes: which share of the training tokens each source has, and how many tokens that makes, solved by DuckDB.

The files in `mixes/` (the user's own in `assay.d/mixes/` before the built-in ones) say what is wanted, `sql/mix.sql`
what that comes to; the same query is the table macro `mix` of `assay sql`.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import duckdb
import pyarrow as pa

from corpora import config
from corpora.errors import AssayError, ConfigError
from planner import schema
from planner.schema import Supply
from planner.units import some

BUILT_IN = Path(__file__).parent / "mixes"
OWN = Path("assay.d/mixes")
FOLDERS = (OWN, BUILT_IN)
QUERY = Path(__file__).parent / "sql" / "mix.sql"
LARGEST_WEIGHT = 10**15  # times 10^17 tokens it stays below 2^127 (HUGEINT)
WHOLE = 10**12  # sum of the weights of shares with more digits than that


@dataclass(frozen=True)
class MixFile:
    """A mix as its TOML file describes it."""

    name: str
    """Name of the file."""
    description: str
    """One line for people."""
    strategy: str
    """`fixed` shares per source, or `proportional`: what is there, as it is."""
    citation: str | None = None
    """Where the shares come from."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of the training tokens per source, of fixed mixes; shares that do not sum to 1 are divided by their sum."""

    def __post_init__(self) -> None:
        if self.strategy not in ("fixed", "proportional"):
            raise ValueError(f"strategy {self.strategy!r} is none of fixed, proportional")
        if (self.strategy == "fixed") != bool(self.shares):
            raise ValueError("a fixed mix has [shares], a proportional one has none")
        for source, share in self.shares.items():
            if type(share) not in (int, float) or not (math.isfinite(share) and share > 0):
                raise ValueError(f"the share of {source!r} must be a positive number, not {share!r}; or leave it out")

    @property
    def total(self) -> Fraction:
        """Sum of the shares as the decimals that they are written as."""
        return sum(self._exact.values(), Fraction())

    @property
    def weights(self) -> dict[str, int]:
        """The shares as whole numbers in the same proportions; of shares with very many digits, nearly so."""
        exact = self._exact
        scale = math.lcm(*(share.denominator for share in exact.values()))
        if max(exact.values(), default=0) * scale > LARGEST_WEIGHT:
            scale = WHOLE / self.total
        return {source: max(1, round(share * scale)) for source, share in exact.items()}

    @property
    def _exact(self) -> dict[str, Fraction]:
        return {source: Fraction(repr(share)) for source, share in self.shares.items()}


def load(name: str) -> MixFile:
    """The mix of that name. Raises ConfigError for an unknown one, with the nearest, and for a file that is no mix."""
    path = config.locate("mix", name, FOLDERS)
    table = config.read(path)
    if "name" in table:
        raise ConfigError(f"{path}: unknown key 'name'; a mix has the name of its file")
    return config.build(MixFile, {"name": name, **table}, str(path))


def all_mixes() -> list[MixFile]:
    """Every mix that can be loaded. One of the user's own that cannot is left out: `load` says what is wrong."""
    found = []
    for name in config.names(FOLDERS):
        with contextlib.suppress(ConfigError, OSError):
            found.append(load(name))
    return found


def create(connection: duckdb.DuckDBPyConnection, mixes: list[MixFile]) -> None:
    """Make the tables `mixes` and `mix_shares` and the table macro `mix` where a table or view `supply` is."""
    connection.execute("CREATE TABLE mixes (mix VARCHAR, strategy VARCHAR, description VARCHAR, citation VARCHAR)")
    connection.execute("CREATE TABLE mix_shares (mix VARCHAR, source VARCHAR, share DOUBLE, weight BIGINT)")
    for mix in mixes:
        row = [mix.name, mix.strategy, mix.description, mix.citation]
        connection.execute("INSERT INTO mixes VALUES (?, ?, ?, ?)", row)
        for source, weight in mix.weights.items():
            row = [mix.name, source, float(Fraction(repr(mix.shares[source])) / mix.total), weight]
            connection.execute("INSERT INTO mix_shares VALUES (?, ?, ?, ?)", row)
    connection.execute(f"CREATE MACRO mix(name, budget := NULL) AS TABLE {QUERY.read_text('utf-8')}")


def solve(supply: Supply, mix: MixFile, budget: int | None = None) -> schema.Mix:
    """What a mix asks of each source for a budget of training tokens; without one, for the largest without repeats.

    Raises AssayError for a mix that names a source which is not there, or one that has no tokens.
    """
    there = {source.source: source for source in supply.sources}
    if missing := sorted(mix.shares.keys() - there.keys()):
        near = difflib.get_close_matches(missing[0], there) or [n for n in there if n.lower() == missing[0].lower()]
        puts = f"`assay tokenize {missing[0]}` puts it there" if supply.lake else "add a row for it"
        raise AssayError(
            f"the mix {mix.name} asks for {some(missing)}, which {supply.origin} does not have (it has "
            f"{some(near or sorted(there), 8)}): {puts}, or take another mix, such as proportional"
        )
    if empty := sorted(name for name in mix.shares if not there[name].training_tokens):
        raise AssayError(f"the mix {mix.name} asks for {some(empty)}, of which {supply.origin} has no tokens")
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE supply (source VARCHAR, "group" VARCHAR, training_tokens BIGINT)')
        rows = [(source.source, source.group, source.training_tokens) for source in supply.sources]
        columns = dict(zip(("source", "group", "training_tokens"), map(list, zip(*rows))))
        connection.register("rows", pa.table(columns))
        connection.execute("INSERT INTO supply FROM rows")
        create(connection, [mix])
        largest = connection.execute("SELECT sum(tokens) FROM mix(?)", [mix.name]).fetchone()[0]
        solved = connection.execute("SELECT * EXCLUDE (percent) FROM mix(?, budget := ?)", [mix.name, budget])
        columns = [column[0] for column in solved.description]
        found = [dict(zip(columns, row)) for row in solved.fetchall()]
    binding = [row["source"] for row in found if row.pop("binding")]
    return schema.Mix(
        name=mix.name,
        description=mix.description,
        citation=mix.citation,
        strategy=mix.strategy,
        normalised_from=float(mix.total) if mix.shares and mix.total != 1 else None,
        budget=sum(row["tokens"] for row in found),
        largest=largest,
        binding=binding[0] if binding else None,
        sources=[schema.MixSource(**row) for row in found],
    )
