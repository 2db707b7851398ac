"""The loader: exact shares, an order that no number of ranks changes, and every token of a pass once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import AssayError
from corpora.lake import Lake
from planner.launch import folder, loader, parts
from planner.launch import settings as launched
from planner.launch.loader import Loader, Stream, apportion, order, permutation
from planner.launch.parts import training_tokens

# Table 1 of the BloombergGPT paper, in 1e-4 of the tokens.
BLOOMBERG = {"web": 4201, "news": 531, "filings": 204, "press": 121, "bloomberg": 70, "pile": 2590, "c4": 1948,
             "wikipedia": 335}  # fmt: skip


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
    rows = list(apportion(BLOOMBERG, 100_000, {}).values())
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


ASKED = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**12), min_size=1)


@given(ASKED, st.integers(0, 10_000))
def test_apportion_is_within_one_row_and_sums(tokens, rows):
    given_rows = apportion(tokens, rows, {})
    assert sum(given_rows.values()) == rows
    for name, asked in tokens.items():
        assert abs(given_rows[name] - Fraction(rows * asked, sum(tokens.values()))) < 1


def test_ties_of_remainders_go_by_name():
    assert apportion({"b": 1, "a": 9}, 5, {}) == {"b": 0, "a": 5}  # remainders of a half each
    assert apportion({"c": 1, "b": 1, "a": 1}, 4, {}) == {"c": 1, "b": 1, "a": 2}


@given(ASKED, st.integers(0, 10_000), st.data())
def test_no_source_has_more_rows_than_it_can_take_where_others_have_room(tokens, rows, data):
    most = data.draw(st.dictionaries(st.sampled_from(sorted(tokens)), st.integers(0, 5_000)))
    given_rows = apportion(tokens, rows, most)
    assert sum(given_rows.values()) == rows
    without = apportion(tokens, rows, {})
    if len(most) < len(tokens) or sum(most.values()) >= rows:
        assert all(given_rows[name] <= limit for name, limit in most.items())
        if all(without[name] <= limit for name, limit in most.items()):
            assert given_rows == without
    else:
        assert all(given_rows[name] >= limit for name, limit in most.items())


def test_what_a_source_cannot_take_goes_to_the_largest_remainder_with_room():
    tokens = {"a": 349, "b": 330, "c": 321}  # of 10 rows: 3.49, 3.30, 3.21
    assert apportion(tokens, 10, {}) == {"a": 4, "b": 3, "c": 3}
    assert apportion(tokens, 10, {"a": 3}) == {"a": 3, "b": 4, "c": 3}
    assert apportion(tokens, 10, {"a": 3, "b": 3}) == {"a": 3, "b": 3, "c": 4}
    assert apportion(tokens, 10, {"a": 3, "b": 3, "c": 3}) == {"a": 4, "b": 3, "c": 3}  # none has room


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
            assert np.array_equal(batches[step].consumed, batch.consumed)


def test_rows_of_the_run_are_those_of_the_mix(read, hands):
    settings, sources = read()
    batches = drain(settings, sources)
    assert batches[-1].consumed.tolist() == [48, 29, 19]
    steps = np.diff([np.zeros(3, int), *(batch.consumed for batch in batches)], axis=0)
    assert (steps.sum(axis=1) == 8).all()


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
        groups = [training_tokens(lake.room("one"), part["tokens"]["sha256"]) for part in listed]
        token_parts = tuple(launched.TokenPart(**part["tokens"], groups=of) for part, of in zip(listed, groups))
        source = launched.Source("one", "g", 1.0, 1, sum(map(sum, groups)), "m", token_parts)
        settings = launched.Settings(
            launched.PlanName("p", "0"),
            launched.Model(1, 8, 1, 8, 8, hands.VOCABULARY),
            launched.Data(lake.url, "data.json", hands.END, sequence, 0),
            launched.Schedule(1, 1, 0, 1.0, 0.1),
            launched.Optimizer(0.9, 0.95, 0.1, 1.0),
            launched.Run(1, 1, 1, 0),
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
    for written in ([[([1], "validation")]], []):
        with pytest.raises(AssayError, match="one has no document of the split train"):
            stream(written).row()


@pytest.mark.parametrize("bad", [64, 1000, -1])
def test_an_id_beyond_the_vocabulary_is_refused(stream, bad):
    assert stream([[([63], "train")]]).row()[0] in (0, 63)
    with pytest.raises(AssayError, match=f"has the token id {bad}, and the model .* from 0 to 63"):
        stream([[([1, 2, bad, 5], "train")]]).row()


def test_a_batch_that_ranks_cannot_share_is_refused(read):
    settings, sources = read()
    with pytest.raises(AssayError, match="8 rows cannot be dealt to 3 ranks"):
        Loader(settings, sources, 0, 3)


def path_of(settings, source) -> Path:
    return Path(Lake(settings.data.lake).room(source.source).path("tokens", source.parts[0].sha256))


def test_a_part_that_is_gone_is_named(read):
    settings, sources = read()
    path = path_of(settings, sources[1])
    path.unlink()
    with pytest.raises(AssayError, match=f"{path} is gone"):
        drain(settings, sources)


def test_flipped_bytes_are_named_and_never_trained_on(read):
    settings, sources = read()
    path = path_of(settings, sources[1])

    def first_pass() -> np.ndarray:
        stream = Stream(Lake(settings.data.lake), sources[1], settings)
        return np.stack([stream.row() for _ in range(630 // 16)])

    whole, good, caught = first_pass(), path.read_bytes(), 0
    tried = range(0, len(good), 29)
    for at in tried:
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            rows = first_pass()
        except AssayError as error:
            said = str(error)
            assert re.search(f"{path} .*: run `assay reconcile|{path} has the token id", said)
            assert "\n" not in said
            caught += 1
        else:  # a byte that says nothing of the tokens: of a name, of a statistic
            assert np.array_equal(rows, whole)
    assert caught > len(tried) / 4


def test_a_part_without_the_columns_is_named(read):
    settings, sources = read()
    path = path_of(settings, sources[1])
    pq.write_table(pa.table({"split": ["train"] * 30}), path, row_group_size=3)
    with pytest.raises(AssayError, match=f"{path} is damaged .*tokens.* run `assay reconcile"):
        drain(settings, sources)


def test_row_groups_of_other_lengths_than_data_json_says_are_refused(read):
    settings, sources = read()
    groups = sources[1].parts[0].groups
    assert len(groups) % 2 == 0
    moved = tuple(length + (-1) ** group for group, length in enumerate(groups))
    twos = replace(sources[1], parts=(replace(sources[1].parts[0], groups=moved),))
    with pytest.raises(AssayError, match=r"row group \d+ of .* and data.json says"):
        drain(settings, [sources[0], twos, sources[2]])


def test_neither_the_start_nor_going_on_reads_what_lies_before(read, monkeypatch):
    settings, sources = read()
    opened = []
    monkeypatch.setattr(loader, "read", lambda *arguments: opened.append(arguments) or parts.read(*arguments))
    one = Loader(settings, sources)
    assert not opened
    next(one.batches(11))
    assert 0 < len(opened) <= 2 * 3 + 8  # row groups of the last 8 rows, of some 40


def test_a_proportional_plan_completes_no_pass(tmp_path, hands):
    """As the planner makes it: all that is there but what no whole row and batch takes."""
    lake = Lake(tmp_path / "lake")
    tokenizer = hands.put_tokenizer(lake, hands.tokenizer_json())
    # 641, 337 and 65 training tokens: 40, 21 and 4 rows of 16, which leave the one label that the last row needs.
    for name, lengths in {"web": [640], "news": [335, 0], "press": [31, 32]}.items():
        hands.put_corpus(lake, name, [[([1] * length, "train") for length in lengths]], tokenizer)
    available = {"web": 641, "news": 337, "press": 65}
    shares = {name: each / 1043 for name, each in available.items()}
    plan = hands.make_plan(lake, shares, batch=5, steps=13)  # 65 rows: 39.95, 21.0 and 4.05
    folder.write(plan, plan.model_dump_json().encode(), tmp_path / "launch", say=print)
    settings = launched.read(tmp_path / "launch" / "pretrain.toml")
    one = Loader(settings, launched.sources(settings))
    list(one.batches())
    assert one.rows == {"web": 40, "news": 21, "press": 4}
    assert [stream.passes for stream in one._streams] == [0, 0, 0]


def test_rounding_up_never_goes_past_the_supply(tmp_path, hands):
    lake = Lake(tmp_path / "lake")
    tokenizer = hands.put_tokenizer(lake, hands.tokenizer_json())
    for name, length in {"web": 166, "news": 162}.items():  # 167 and 163 tokens: 10 rows of 16 each, of 10.12 and 9.88
        hands.put_corpus(lake, name, [[([1] * length, "train")]], tokenizer)
    for name, length in {"a": 15, "b": 80}.items():  # 16 tokens: not one row, though 0.67 is asked for
        hands.put_corpus(lake, name, [[([1] * length, "train")]], tokenizer)
    for shares, rows in (({"web": 0.506, "news": 0.494}, 20), ({"a": 2 / 12, "b": 10 / 12}, 4)):
        plan = hands.make_plan(lake, shares, batch=rows, steps=1)
        folder.write(plan, plan.model_dump_json().encode(), tmp_path / "launch", say=print)
        settings = launched.read(tmp_path / "launch" / "pretrain.toml")
        one = Loader(settings, launched.sources(settings))
        list(one.batches())
        assert not any(stream.passes for stream in one._streams), one.rows


def test_what_the_plan_asks_to_repeat_repeats(read):
    settings, sources = read()
    one = Loader(settings, sources)
    list(one.batches())
    tokens = {"ones": 20 * 31 + 9 * 26, "twos": 30 * 21, "fives": 15 * 12}
    assert {source.source: source.available for source in sources} == tokens
    passes = {stream.source: stream.passes for stream in one._streams}
    assert passes == {name: one.rows[name] * 16 // tokens[name] for name in tokens}
    assert passes == {"ones": 0, "twos": 0, "fives": 1}
