"""Mixes: the solver against exact fractions, the files, and the table macro."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import AssayError, ConfigError
from corpora.lake import Lake
from pipelines.quality import profile
from planner import ledger, mix, supply
from planner.mix import MixFile
from planner.schema import Source, Supply


def supply_of(tokens: dict[str, int]) -> Supply:
    """A supply of sources without documents."""
    sources = [
        Source(source=name, group="g", documents=0, tokens=n, training_tokens=n, known="given")
        for name, n in tokens.items()
    ]
    return supply._supply(sources, origin="a table", lake=False, sample=False, provisional=False, vocabulary=None)


def test_bloomberggpts_mix_is_its_table_1(bloomberggpt: Supply) -> None:
    solved = mix.solve(bloomberggpt, mix.load("bloomberggpt"))
    financial = sum(source.share for source in solved.sources if source.group == "financial")
    assert round(financial, 4) == 0.5127
    assert solved.normalised_from is None
    assert {source.source: round(100 * source.share, 2) for source in solved.sources} == {
        "web": 42.01, "pile": 25.90, "c4": 19.48, "news": 5.31,
        "wikipedia": 3.35, "filings": 2.04, "press": 1.21, "inhouse": 0.70,
    }  # fmt: skip
    # Its shares are printed with two decimals: 0.70 % of 704 B is all of the smallest source.
    assert solved.binding == "inhouse"
    assert all(0.98 < source.epochs <= 1 for source in solved.sources)


def test_bloomberggpt_trained_on_four_fifths_of_an_epoch(bloomberggpt: Supply) -> None:
    solved = mix.solve(bloomberggpt, mix.load("bloomberggpt"), 569_000_000_000)  # arXiv:2303.17564, section 3.3
    assert all(round(source.epochs, 1) == 0.8 for source in solved.sources)
    assert solved.budget == 569_000_000_000
    assert solved.largest == 704_280_000_000


def test_proportional_takes_what_is_there(bloomberggpt: Supply) -> None:
    solved = mix.solve(bloomberggpt, mix.load("proportional"))
    assert solved.budget == solved.largest == bloomberggpt.training_tokens
    assert all(source.tokens == source.available for source in solved.sources)
    assert solved.binding is None


names = st.sampled_from("abcdefgh")
supplies = st.dictionaries(names, st.integers(1, 10**13), min_size=1)
shares = st.decimals("0.0001", "1000", places=4).map(float)


@settings(max_examples=60)
@given(st.data())
def test_the_solver_finds_the_largest_mix_without_repeats(data: st.DataObject) -> None:
    there = data.draw(supplies)
    wanted = {name: data.draw(shares) for name in there}
    solved = mix.solve(supply_of(there), MixFile("m", "", "fixed", shares=wanted))
    exact = {name: Fraction(repr(share)) for name, share in wanted.items()}
    whole = sum(exact.values())
    limits = {name: there[name] * whole / exact[name] for name in there}
    largest = int(min(limits.values()))
    assert solved.budget == solved.largest == largest == sum(source.tokens for source in solved.sources)
    for source in solved.sources:
        assert source.tokens <= there[source.source]
        assert abs(source.tokens - largest * exact[source.source] / whole) < 1
    ends = {name for name, limit in limits.items() if int(limit) == largest}
    assert solved.binding == (None if ends == set(there) else min(ends))


def test_a_fixed_mix_of_just_what_is_there_binds_nowhere() -> None:
    thirds = MixFile("m", "", "fixed", shares={"a": 1.0, "b": 2.0})
    solved = mix.solve(supply_of({"a": 10**9, "b": 2 * 10**9}), thirds)
    assert (solved.budget, solved.binding) == (3 * 10**9, None)


def test_shares_with_very_many_digits_are_nearly_kept() -> None:
    pi, e = 3.141592653589793, 2.718281828459045e-5
    solved = mix.solve(supply_of({"a": 10**17, "b": 10**17}), MixFile("m", "", "fixed", shares={"a": pi, "b": e}))
    assert solved.sources[0].share == pytest.approx(pi / (pi + e), rel=1e-11)
    assert solved.budget == sum(source.tokens for source in solved.sources)


@given(st.dictionaries(names, st.integers(1, 10**6), min_size=1), st.integers(1, 10**9))
@settings(max_examples=30)
def test_any_budget_is_dealt_out_whole(there: dict[str, int], budget: int) -> None:
    solved = mix.solve(supply_of(there), mix.load("proportional"), budget)
    assert solved.budget == budget
    assert all(source.epochs == source.tokens / there[source.source] for source in solved.sources)


def test_shares_that_do_not_sum_to_1_are_divided_by_their_sum() -> None:
    solved = mix.solve(supply_of({"a": 100, "b": 100}), MixFile("m", "", "fixed", shares={"a": 51.0, "b": 17.0}))
    assert solved.normalised_from == 68
    assert [(source.share, source.tokens) for source in solved.sources] == [(0.75, 100), (0.25, 33)]


def test_a_source_that_is_not_there_is_refused() -> None:
    with pytest.raises(AssayError, match=r"asks for b, which a table does not have \(it has a\): add a row for it"):
        mix.solve(supply_of({"a": 1}), MixFile("m", "", "fixed", shares={"a": 0.5, "b": 0.5}))


def test_a_source_without_tokens_is_refused() -> None:
    with pytest.raises(AssayError, match="asks for b, of which a table has no tokens"):
        mix.solve(supply_of({"a": 1, "b": 0}), MixFile("m", "", "fixed", shares={"a": 0.5, "b": 0.5}))


def test_a_source_that_a_proportional_mix_finds_empty_is_left_out() -> None:
    solved = mix.solve(supply_of({"a": 7, "b": 0}), mix.load("proportional"))
    assert [(source.source, source.tokens) for source in solved.sources] == [("a", 7)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategy = 'fixed'", "'description' is missing"),
        ("description = 'd'\nstrategy = 'fixed'", r"a fixed mix has \[shares\]"),
        ("description = 'd'\nstrategy = 'proportional'\n[shares]\na = 1", r"a fixed mix has \[shares\]"),
        ("description = 'd'\nstrategy = 'unimax'", "'unimax' is none of fixed, proportional"),
        ("description = 'd'\nstrategy = 'fixed'\n[shares]\na = 0", "share of 'a' must be a positive number, not 0"),
        ("description = 'd'\nstrategy = 'fixed'\n[shares]\na = -1", "must be a positive number"),
        ("description = 'd'\nstrategy = 'fixed'\n[shares]\na = nan", "must be a positive number"),
        ("description = 'd'\nstrategy = 'fixed'\n[shares]\na = 'half'", "must be a positive number"),
        ("description = 'd'\nstrategy = 'fixed'\nshare = 1", "unknown key 'share'"),
        ("name = 'x'", "a mix has the name of its file"),
    ],
)
def test_a_file_that_is_no_mix_is_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "assay.d" / "mixes" / "own.toml"
    own.parent.mkdir(parents=True)
    own.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=said):
        mix.load("own")
    (own.parent / ".#editor.toml").symlink_to("nowhere")
    (own.parent / "folder.toml").mkdir()
    # The lake's SQL goes on with the others.
    assert [found.name for found in mix.all_mixes()] == ["bloomberggpt", "proportional"]


def test_an_unknown_mix_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no mix 'blombergpt'; did you mean bloomberggpt"):
        mix.load("blombergpt")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("FROM mix('none')", "there is no mix none"),
        ("FROM mix('bloomberggpt')", "asks for inhouse, which is not there"),
        ("FROM mix('proportional', budget := -5)", "a budget must be above 0"),
    ],
)
def test_the_macro_refuses_what_the_verb_refuses(query: str, said: str) -> None:
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE supply (source VARCHAR, "group" VARCHAR, training_tokens BIGINT)')
        held = ("web", "news", "filings", "press", "pile", "c4", "wikipedia")
        connection.executemany("INSERT INTO supply VALUES (?, 'g', 10)", [[source] for source in held])
        mix.create(connection, mix.all_mixes())
        with pytest.raises(duckdb.Error, match=said):
            connection.execute(query).fetchall()


def test_the_macro_of_the_catalog_is_the_solver(sample_lake: Path) -> None:
    lake = Lake(sample_lake)
    profiles = {name: found.fingerprint for name, found in profile.of_lake(lake).items()}
    solved = mix.solve(supply.of_lake(lake, profiles), mix.load("bloomberggpt"), 100_000)
    with ledger.connect(lake, profiles) as connection:
        rows = connection.execute(
            "SELECT source, share, tokens, epochs FROM mix('bloomberggpt', budget := 100000)"
        ).fetchall()
    assert rows == [(source.source, source.share, source.tokens, source.epochs) for source in solved.sources]
