"""Parts: same rows, same bytes; aligned reading; digests that know no order."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.part import MISALIGNED, ROW_GROUP_ROWS, Part, PartWriter, aligned, batches, mix, row_digest, sha256_of

SCHEMA = pa.schema(
    [
        ("doc_id", pa.large_string()),
        ("license", pa.large_string()),
        ("n", pa.int64()),
        ("text", pa.large_string()),
        ("tokens", pa.list_(pa.int32())),
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "doc_id": st.text("0123456789abcdef", min_size=4, max_size=4),
            "license": st.none() | st.sampled_from(["CC0", "MIT"]),
            "n": st.none() | st.integers(-(2**63), 2**63 - 1),
            "text": st.none() | st.text(max_size=20),
            "tokens": st.lists(st.integers(0, 2**31 - 1), max_size=5),
        }
    ),
    max_size=30,
)


def numbers(*values: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"x": pa.array(values, pa.int64())})


def write(folder, given_batches, **options) -> tuple[Part, bytes]:
    writer = PartWriter(folder / "spool", given_batches[0].schema if given_batches else SCHEMA, **options)
    for batch in given_batches:
        writer.write(batch)
    return writer.close(), (folder / "spool").read_bytes()


@settings(max_examples=50)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 30), max_size=6), offset=st.integers(0, 3))
def test_same_rows_give_same_bytes_however_they_were_cut(tmp_path_factory, rows, cuts, offset):
    folder = tmp_path_factory.mktemp("part")
    whole = pa.RecordBatch.from_pylist(rows, SCHEMA)
    # The same rows, cut anywhere, lying at an offset in larger buffers with other values under their nulls.
    longer = pa.RecordBatch.from_pylist([{"doc_id": "x", "text": "other", "tokens": [1]}] * offset + rows, SCHEMA)
    borders = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [longer.slice(offset + a, b - a) for a, b in itertools.pairwise(borders)]
    part, data = write(folder, [whole])
    assert write(folder, pieces) == (part, data)
    assert (part.rows, part.bytes) == (len(rows), len(data))
    assert part.sha256 == sha256_of(io.BytesIO(data))
    assert [row for batch in batches(io.BytesIO(data)) for row in batch.to_pylist()] == rows


def test_row_groups_end_when_they_are_full(tmp_path):
    texts = pa.RecordBatch.from_pydict({"text": pa.array(["x" * 100] * 10, pa.large_string())})
    part, data = write(tmp_path, [texts] * 5, row_group_bytes=texts.nbytes * 2)
    groups = pq.ParquetFile(io.BytesIO(data))
    assert [groups.metadata.row_group(i).num_rows for i in range(groups.num_row_groups)] == [20, 20, 10]
    assert part.rows == 50


@pytest.mark.parametrize("skewed", [False, True])
def test_a_batch_larger_than_a_row_group_is_cut(tmp_path, skewed):
    lengths = [10_000] + [1] * 499 if skewed else [100] * 500
    batch = pa.RecordBatch.from_pydict({"text": pa.array(["x" * n for n in lengths], pa.large_string())})
    limit = batch.nbytes // 10
    _, data = write(tmp_path, [batch], row_group_bytes=limit)
    read = list(batches(io.BytesIO(data)))
    assert all(group.nbytes <= 3 * limit or group.num_rows == 1 or skewed for group in read)
    assert len(read) >= (2 if skewed else 4)
    assert pa.Table.from_batches(read).combine_chunks() == pa.Table.from_batches([batch]).combine_chunks()


def test_a_batch_of_too_many_rows_is_cut(tmp_path):
    batch = pa.RecordBatch.from_pydict({"x": pa.array(np.zeros(5 * ROW_GROUP_ROWS, np.int8))})
    _, data = write(tmp_path, [batch])
    assert max(group.num_rows for group in batches(io.BytesIO(data))) <= 2 * ROW_GROUP_ROWS


def test_no_rows_are_a_part_too(tmp_path):
    part, data = write(tmp_path, [])
    assert part.rows == 0
    assert list(batches(io.BytesIO(data))) == []
    assert pq.read_schema(io.BytesIO(data)) == SCHEMA


def test_some_columns_can_be_read_alone(tmp_path):
    _, data = write(tmp_path, [pa.RecordBatch.from_pydict({"a": [1, 2], "b": [3, 4]})])
    assert [batch.to_pydict() for batch in batches(io.BytesIO(data), ["b"])] == [{"b": [3, 4]}]


def test_abort_leaves_no_file(tmp_path):
    writer = PartWriter(tmp_path / "spool", numbers(1).schema, row_group_bytes=1)
    writer.write(numbers(1, 2))
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_finished_file_is_that_of_its_writer(tmp_path):
    part, _ = write(tmp_path, [numbers(1, 2)])
    assert Part.of(tmp_path / "spool", 2) == part


@given(st.lists(st.lists(st.integers(1, 4), min_size=1), min_size=3, max_size=3))
def test_aligned_parts_are_cut_as_the_first(lengths):
    total = min(sum(stream) for stream in lengths)

    def stream(sizes):
        start = 0
        for size in sizes:
            end = min(start + size, total)
            if end > start:
                yield numbers(*range(start, end))
            start = end

    found = list(aligned([stream(sizes) for sizes in lengths]))
    assert [row for first, *_ in found for row in first["x"].to_pylist()] == list(range(total))
    assert [first.num_rows for first, *_ in found] == [batch.num_rows for batch in stream(lengths[0])]
    assert all(other.equals(first) for first, *others in found for other in others)


@pytest.mark.parametrize("others", [[], [numbers(1)], [numbers(1, 2), numbers(3)], [numbers(1, 2, 3)]])
def test_parts_of_other_lengths_are_refused(others):
    with pytest.raises(ValueError, match=MISALIGNED):
        list(aligned([iter([numbers(1, 2)]), iter(others)]))


UINT64 = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(UINT64, UINT64), min_size=1), st.randoms(), st.integers(0, 100))
def test_row_digest_knows_neither_order_nor_cut(rows, random, cut):
    def digest(of):
        return row_digest(*(np.array(column, np.uint64) for column in zip(*of))) if of else 0

    shuffled = random.sample(rows, len(rows))
    assert digest(shuffled) == digest(rows)
    assert (digest(shuffled[:cut]) + digest(shuffled[cut:])) % 2**64 == digest(rows)


@given(st.lists(st.tuples(UINT64, UINT64), min_size=1), st.data())
def test_row_digest_sees_every_change(rows, data):
    i, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 1))
    changed = [list(row) for row in rows]
    changed[i][column] ^= 1 << data.draw(st.integers(0, 63))

    def digest(of):
        return row_digest(*(np.array(column, np.uint64) for column in zip(*of)))

    assert digest(changed) != digest(rows)
    assert digest([*rows, rows[0]]) != digest(rows)
    swapped = [(b, a) for a, b in rows]
    assert digest(swapped) != digest(rows) or sorted(swapped) == sorted(rows)


def test_mix_is_splitmix64():
    # The first outputs of SplitMix64 seeded with 1234567 (Vigna's splitmix64.c).
    seed, gamma = 1234567, 0x9E3779B97F4A7C15
    states = np.array([(seed + i * gamma) % 2**64 for i in range(3)], np.uint64)
    assert mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]
