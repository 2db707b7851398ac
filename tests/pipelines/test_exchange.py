"""The exchange of keys through files: every key in one range, every edge with its group."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import ids
from pipelines import exchange
from pipelines.exchange import EDGES, KEYS

HALF = st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
PAIRS = st.lists(st.tuples(HALF, HALF, HALF, HALF), max_size=40)


def keys_of(pairs: list[tuple], chosen: list[int]) -> pa.RecordBatch:
    columns = [np.array(column, np.uint64) for column in zip(*pairs)] or [np.zeros(0, np.uint64)] * 4
    return exchange.keys_of(ids.to_hex(*columns[:2]), ids.to_hex(*columns[2:]), np.array(chosen, np.int64))


def read(path, index: int) -> pa.RecordBatch:
    with path.open("rb") as file:
        return exchange.read_batch(file, index)


@given(PAIRS, st.data())
def test_keys_are_those_of_the_chosen_rows_in_order(pairs, data):
    chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(pairs)))))) if pairs else []
    found = keys_of(pairs, chosen)
    assert found.schema.equals(KEYS)
    assert [tuple(row.values()) for row in found.to_pylist()] == sorted((*pairs[row], row) for row in chosen)


@given(PAIRS, st.integers(0, 5))
def test_ranges_partition_the_keys_whatever_the_bits(tmp_path_factory, pairs, bits):
    keys = keys_of(pairs, list(range(len(pairs))))
    path = tmp_path_factory.mktemp("ranges") / "keys"
    part = exchange.write_ranges(path, keys, bits)
    assert (part.rows, part.bytes) == (len(pairs), path.stat().st_size)
    ranges = [read(path, index) for index in range(1 << bits)]
    for index, batch in enumerate(ranges):
        assert {high >> (64 - bits) for high in batch["key_high"].to_pylist()} <= {index}
    assert pa.Table.from_batches(ranges).equals(pa.Table.from_batches([keys]))
    with pytest.raises(ValueError, match="out of range"):
        read(path, 1 << bits)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), unique=True), st.randoms())
def test_edges_lie_with_their_group_in_order_of_row(tmp_path_factory, edges, random):
    edges = random.sample(edges, len(edges))
    rows = np.array([row for _, row in edges], np.int64)
    columns = [rows, *(rows.astype(np.uint64) + np.uint64(i) for i in range(4))]
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=EDGES)
    path = tmp_path_factory.mktemp("edges") / "edges"
    part, digests = exchange.write_edges(path, batch, np.array([group for group, _ in edges], np.int64), 5)
    assert part.rows == len(edges)
    found = [read(path, index) for index in range(5)]
    digests = [exchange.digest_of(digests, index) for index in range(5)]
    for index, digest in enumerate(digests):
        wanted = sorted(row for group, row in edges if group == index)
        assert [tuple(row.values()) for row in found[index].to_pylist()] == [
            (r, r, r + 1, r + 2, r + 3) for r in wanted
        ]
        assert (digest is None) is (not wanted)
        assert [digest == other for other in digests] == [found[index].equals(batch) for batch in found]


@given(st.integers(0, 10**12))
def test_a_range_has_about_its_bytes(n_keys):
    bits = exchange.range_bits(n_keys)
    one_range = n_keys * exchange.KEY_BYTES / (1 << bits)
    assert one_range <= exchange.RANGE_BYTES or bits == exchange.MAX_BITS
    assert bits == 0 or one_range >= exchange.RANGE_BYTES / 2


SHAS = st.lists(st.integers(0, 2**32 - 1).map(lambda high: f"{high:08x}" + "0" * 56), max_size=60, unique=True)


@given(SHAS, st.data())
def test_groups_are_of_all_parts_in_order_and_no_larger_than_a_range(names, data):
    rows = data.draw(st.lists(st.integers(0, 2**21), min_size=len(names), max_size=len(names)))
    groups = list(exchange.groups(names, rows, sum(rows)))
    assert [name for which in groups for name in names[which]] == names
    for which in groups:
        assert sum(rows[which][:-1]) * exchange.KEY_BYTES < exchange.RANGE_BYTES
        assert all(int(name[:8], 16) % exchange.GROUP_PARTS for name in names[which][:-1])


@given(SHAS, st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_a_part_that_comes_changes_its_own_group_alone(names, place, high):
    new = f"{high:08x}" + "f" * 56
    more = [*names[:place], new, *names[place:]]
    before, after = ({tuple(of[w]) for w in exchange.groups(of, [1] * len(of), 60)} for of in (names, more))
    assert len(before - after) <= 1


def test_a_batch_that_is_not_what_was_written_is_not_read(tmp_path):
    keys = keys_of([(i << 60, i, i, i) for i in range(1, 16)], list(range(15)))
    path = tmp_path / "keys"
    exchange.write_ranges(path, keys, 2)
    whole = path.read_bytes()
    place = whole.index((9).to_bytes(8, "little"))
    path.write_bytes(whole[:place] + b"\x0b" + whole[place + 1 :])
    with pytest.raises(ValueError, match="record batch 2 is damaged"):
        read(path, 2)
    assert len(read(path, 1)) == 4


def test_many_parts_make_few_groups():
    names = [sha256(str(i).encode()).hexdigest() for i in range(20_000)]
    for n, ranges in ((100, 1), (1_000, 8), (20_000, 256)):
        rows = ranges * exchange.RANGE_BYTES // exchange.KEY_BYTES // n * 3 // 4
        assert 1 << exchange.range_bits(n * rows) == ranges
        assert len(list(exchange.groups(names[:n], [rows] * n, n * rows))) < 4 * max(exchange.FEW_GROUPS, ranges)


def test_columns_of_several_batches():
    keys = keys_of([(1, 2, 3, 4), (5, 6, 7, 8)], [0, 1])
    found = exchange.concatenated([keys.slice(0, 1), keys.slice(1)], KEYS)
    assert {name: column.tolist() for name, column in found.items()} == {
        "key_high": [1, 5], "key_low": [2, 6], "doc_high": [3, 7], "doc_low": [4, 8], "row": [0, 1]
    }  # fmt: skip
    assert {name: len(column) for name, column in exchange.concatenated([], KEYS).items()} == dict.fromkeys(
        KEYS.names, 0
    )
