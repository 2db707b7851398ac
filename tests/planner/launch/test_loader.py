"""The loader: exact shares, an order that no number of ranks changes, and every token of a pass once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import AssayError
from corpora.lake import Lake
from planner.launch import settings as launched
from planner.launch.loader import Loader, Stream, apportion, order, permutation

# Table 1 of the BloombergGPT paper, in percent of tokens.
BLOOMBERG = {"web": 42.01, "news": 5.31, "filings": 2.04, "press": 1.21, "bloomberg": 0.70, "pile": 25.9, "c4": 19.48,
             "wikipedia": 3.35}  # fmt: skip


def chairman(rows: list[int]) -> list[int]:
    """Tijdeman's rule as he wrote it, in fractions."""
    rates = [Fraction(each, sum(rows)) for each in rows]
    slack = Fraction(1, max(2, 2 * len(rows) - 2))
    counts, chosen = [0] * len(rows), []
    for k in range(1, sum(rows) + 1):
        due = [(1 - slack - (k * rate - c)) / rate for rate, c in zip(rates, counts)]
        best = min((i for i in range(len(rows)) if k * rates[i] - counts[i] >= slack), key=lambda i: (due[i], i))
        counts[best] += 1
        chosen.append(best)
    return chosen


def largest_error(chosen: np.ndarray, rows: list[int]) -> float:
    """Largest distance, in rows, of any source's rows in any prefix from its share of that prefix."""
    k = np.arange(1, len(chosen) + 1)
    return max(np.abs(np.cumsum(chosen == i) * len(chosen) - k * each).max() for i, each in enumerate(rows)) / len(
        chosen
    )


def test_every_prefix_has_bloomberggpts_shares():
    rows = list(apportion(BLOOMBERG, 100_000).values())
    chosen = np.concatenate(list(order(rows, 4096)))
    assert np.bincount(chosen).tolist() == rows
    assert largest_error(chosen, rows) < 1


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7))
def test_order_is_that_of_the_algorithm(rows):
    chosen = np.concatenate(list(order(rows, 5)))
    assert chosen.tolist() == chairman(rows)
    assert largest_error(chosen, rows) < 1


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any), st.integers(1, 200))
def test_order_gives_exact_counts_whatever_the_block(rows, block):
    blocks = list(order(rows, block))
    assert np.bincount(np.concatenate(blocks), minlength=len(rows)).tolist() == rows
    assert all(len(each) == block for each in blocks[:-1])


def test_order_of_very_many_rows_does_not_overflow():
    rows = [2_900_000_000, 3_000_000_000, 50_000_000, 50_000_000]
    first = next(order(rows, 100_000))
    for i, each in enumerate(rows):
        k = np.arange(1, len(first) + 1)
        assert np.abs(np.cumsum(first == i) - k * (each / sum(rows))).max() < 1
    with pytest.raises(AssayError, match="more than the loader can order"):
        next(order([6_000_000_001], 1))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1e-6, 1), min_size=1), st.integers(0, 10_000))
def test_apportion_is_within_one_row_and_sums(shares, rows):
    given_rows = apportion(shares, rows)
    assert sum(given_rows.values()) == rows
    total = sum(Fraction(repr(share)) for share in shares.values())
    for name, share in shares.items():
        assert abs(given_rows[name] - rows * Fraction(repr(share)) / total) < 1


def test_ties_of_remainders_go_by_name():
    assert apportion({"b": 0.1, "a": 0.9}, 5) == {"b": 0, "a": 5}  # remainders of a half each: as decimals, not floats
    assert apportion({"c": 1 / 3, "b": 1 / 3, "a": 1 / 3}, 4) == {"c": 1, "b": 1, "a": 2}


@given(st.integers(0, 50), st.integers(0, 3))
def test_permutation_has_each_once_and_depends_on_the_key(n, key):
    found = permutation(n, key, "x")
    assert sorted(found.tolist()) == list(range(n))
    assert found.tolist() == permutation(n, key, "x").tolist()
    if n > 20:
        assert found.tolist() != permutation(n, key + 1, "x").tolist()


@pytest.fixture
def read(tiny_lake, launch, hands):
    """Settings and sources of a launch of `tiny_lake`."""

    def of(**changes):
        folder = launch(hands.make_plan(tiny_lake, hands.SHARES, **changes))
        settings = launched.read(folder / "pretrain.toml")
        return settings, launched.sources(settings)

    return of


def drain(settings, sources, rank=0, world=1, start=0):
    return list(Loader(settings, sources, rank, world).batches(start))


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_the_global_batches_do_not_depend_on_the_ranks(read, world):
    settings, sources = read()
    whole = drain(settings, sources)
    assert [batch.ids.shape for batch in whole] == [(8, 17)] * 12
    ranks = [drain(settings, sources, rank, world) for rank in range(world)]
    for step, batch in enumerate(whole):
        assert np.array_equal(np.concatenate([batches[step].ids for batches in ranks]), batch.ids)
        for batches in ranks:
            assert np.array_equal(batches[step].rows, batch.rows)
            assert np.array_equal(batches[step].consumed, batch.consumed)


def test_rows_of_the_run_are_those_of_the_mix(read, hands):
    settings, sources = read()
    batches = drain(settings, sources)
    total = sum(batch.rows for batch in batches)
    assert dict(zip((source.source for source in sources), total.tolist())) == apportion(hands.SHARES, 96)
    assert total.tolist() == batches[-1].consumed.tolist() == [48, 29, 19]


@pytest.mark.parametrize("start", [1, 5, 11, 12])
@pytest.mark.parametrize("rank", [0, 1])
def test_beginning_later_is_passing_over(read, start, rank):
    settings, sources = read()
    whole, later = drain(settings, sources, rank, 2), drain(settings, sources, rank, 2, start)
    assert len(later) == 12 - start
    for one, other in zip(whole[start:], later):
        assert all(np.array_equal(a, b) for a, b in zip(one, other))


def test_a_loader_begins_anew(read):
    loader = Loader(*read())
    first, second = (list(loader.batches(3)) for _ in range(2))
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first, second))


def test_the_seed_decides_the_order_and_nothing_else_does(read):
    settings, sources = read()
    other = replace(settings, data=replace(settings.data, seed=1))
    one, same, changed = (np.stack([b.ids for b in drain(s, sources)]) for s in (settings, settings, other))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, changed)


DOCUMENTS = [[(list(range(1 + i, 4 + i + i % 3)), "train") for i in range(10)], [([40, 41], "train"), ([], "train")]]


@pytest.fixture
def stream(tmp_path, hands):
    """The stream of one corpus of `parts`, and its settings."""

    def of(parts, sequence=4, rows=None):
        lake = Lake(tmp_path / "one")
        fingerprint = hands.put_tokenizer(lake, hands.tokenizer_json())
        hands.put_corpus(lake, "one", parts, fingerprint)
        listed = lake.room("one").manifest("ledger")["parts"]
        source = launched.Source("one", "g", 1.0, 1, 1, "m", tuple(launched.Part(**part["tokens"]) for part in listed))
        settings = launched.Settings(
            launched.PlanName("p", "0"),
            launched.Model(1, 8, 1, 8, 8, hands.VOCABULARY),
            launched.Data(lake.url, "data.json", hands.END, sequence, 0),
            launched.Schedule(1, 1, 0, 1.0, 0.1),
            launched.Optimizer(0.9, 0.95, 0.1, 1.0),
            launched.Run(1, 1, 0),
        )
        return Stream(lake, source, settings)

    return of


def documents_of(ids: list[int]) -> Counter:
    """The documents of a run of tokens that ends with an end-of-document."""
    assert ids[-1] == 0
    ends = [-1, *(i for i, each in enumerate(ids) if each == 0)]
    return Counter(" ".join(map(str, ids[begin + 1 : end])) for begin, end in pairwise(ends))


def test_a_pass_has_every_document_once_and_the_next_another_order(stream):
    tokens = sum(len(ids) + 1 for part in DOCUMENTS for ids, _ in part)
    one = stream(DOCUMENTS, sequence=tokens)
    passes = [one.row() for _ in range(3)]
    assert one.passes == 3
    wanted = Counter(" ".join(map(str, ids)) for part in DOCUMENTS for ids, _ in part)
    for row in passes:
        assert sorted(row[:-1].tolist()) == sorted([i for part in DOCUMENTS for ids, _ in part for i in [*ids, 0]])
        assert documents_of(row[:-1].tolist()) == wanted
    assert [row[-1] for row in passes[:-1]] == [row[0] for row in passes[1:]]  # the next pass begins where one ends
    assert not np.array_equal(passes[0], passes[1])


def test_documents_of_one_row_group_have_another_order_in_each_pass(stream):
    documents = [([i], "train") for i in range(1, 6)]
    one = stream([documents], sequence=10)
    orders = [tuple(one.row()[:-1].tolist()) for _ in range(4)]
    assert len(one._groups) <= 2
    assert len({frozenset(pairwise(order[::2])) for order in orders}) > 2  # more than two groups changing places


@pytest.mark.parametrize("sequence", [1, 4, 7, 100])
def test_each_token_is_predicted_once(stream, sequence):
    tokens = sum(len(ids) + 1 for part in DOCUMENTS for ids, _ in part)
    whole = stream(DOCUMENTS, sequence=3 * tokens).row()
    pieces = stream(DOCUMENTS, sequence=sequence)
    rows = [pieces.row() for _ in range(2 * tokens // sequence)]
    assert all(row.shape == (sequence + 1,) and row.dtype == np.int32 for row in rows)
    labels = np.concatenate([row[1:] for row in rows]) if rows else np.empty(0)
    assert np.array_equal(labels, whole[1 : 1 + len(labels)])
    assert pieces.passes == len(rows) * sequence // tokens


def test_only_the_split_train_is_read(stream):
    one = stream([[([1, 2], "train"), ([50, 51, 52], "validation"), ([3], "train")]], sequence=5)
    assert documents_of(one.row()[:-1].tolist()) == Counter(["1 2", "3"])


def test_skipped_rows_are_the_rows_that_would_have_come(stream):
    one, other = stream(DOCUMENTS), stream(DOCUMENTS)
    rows = [one.row() for _ in range(60)]
    for k in (0, 1, 5, 20):
        other.rewind()
        other.skip(k)
        assert np.array_equal(other.row(), rows[k])
        other.skip(30)
        assert np.array_equal(other.row(), rows[k + 31])


def test_a_source_without_training_documents_is_refused(stream):
    for parts in ([[([1], "validation")]], []):
        with pytest.raises(AssayError, match="one has no document of the split train"):
            stream(parts).row()


@pytest.mark.parametrize("bad", [64, 1000, -1])
def test_an_id_beyond_the_vocabulary_is_refused(stream, bad):
    assert stream([[([63], "train")]]).row()[0] in (0, 63)
    with pytest.raises(AssayError, match=f"has the token id {bad}, and the model .* from 0 to 63"):
        stream([[([1, 2, bad, 5], "train")]]).row()


def test_a_batch_that_ranks_cannot_share_is_refused(read):
    settings, sources = read()
    with pytest.raises(AssayError, match="8 rows cannot be dealt to 3 ranks"):
        Loader(settings, sources, 0, 3)


def test_a_part_that_is_gone_or_damaged_is_named(read):
    settings, sources = read()
    path = Lake(settings.data.lake).room("twos").path("tokens", sources[1].parts[0].sha256)
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(-4, 2)
        file.write(b"oops")
    with pytest.raises(AssayError, match=f"{path} is damaged .* run `assay reconcile`"):
        Loader(settings, sources)


def test_without_repeats_no_epoch_is_complete(read):
    settings, sources = read()
    loader = Loader(settings, sources)
    list(loader.batches())
    tokens = {"ones": 20 * 31 + 9 * 26, "twos": 30 * 21, "fives": 15 * 12}
    assert loader.epochs == {name: loader.rows[name] * 16 // tokens[name] for name in tokens}
    assert loader.epochs["fives"] == 1
