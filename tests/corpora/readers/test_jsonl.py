"""JSON Lines: every line is accounted for, wherever blocks and slices are cut and whatever stands in it."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import tracemalloc
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.readers import jsonl
from corpora.readers.base import Counts, iso_date, iso_dates
from corpora.readers.jsonl import Options
from corpora.readers.source import Source
from corpora.schema import RECORD

NESTED = Options(
    fields={
        "text": "text",
        "native_id": "id",
        "domain": "meta.set",
        "title": ["title", "meta.name"],
        "published": "date",
    }
)


class CutSource(Source):
    """A source that is read in raw blocks of given sizes, over and over."""

    sizes = (1 << 20,)

    def _raw(self, file):
        while True:
            for size in self.sizes:
                if not (block := file.read(size)):
                    return
                yield block


def read(path: Path, options: Options | None = None, sizes=(1 << 20,), start=0, end=None) -> tuple[list[dict], Counts]:
    """Rows of a file or a slice of one, after a check that they are what the reader counted."""
    source, counts = CutSource(path.name, str(path), start, end), Counts()
    source.sizes = sizes
    batches = list(jsonl.read(source, options or Options(), counts))
    assert all(batch.schema.equals(RECORD) and batch.num_rows for batch in batches)
    for batch in batches:
        batch.validate(full=True)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert counts.records == len(rows)
    assert counts.raw_bytes == sum(row["raw_bytes"] for row in rows)
    assert all((row["text"] is None) == (row["quarantine"] is not None) for row in rows)
    return rows, counts


def rows_of(folder: Path, data: bytes, options: Options | None = None) -> list[dict]:
    (folder / "a.jsonl").write_bytes(data)
    return read(folder / "a.jsonl", options)[0]


def brief(rows: list[dict]) -> list[str]:
    """Text of the good rows, reason of the others."""
    return [row["quarantine"] or row["text"] for row in rows]


# Lines of every kind, each with what is to become of it: a dictionary of columns, None where it is passed over.

TEXT = st.text(max_size=20) | st.sampled_from(["\u2028 \u2029 \x85", "\0", "😀", '"\\', "\r\n"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
DAYS = {
    "2019-04-25T12:57:54Z": date(2019, 4, 25),
    "2019-04-25": date(2019, 4, 25),
    "2020-02-29": date(2020, 2, 29),
    "2019-02-29": None,
    "0000-01-01": None,
    "20190425": None,
    "2019-W17-4": None,
    "2019-4-25": None,
    "25.04.2019": None,
    "": None,
}


@st.composite
def documents(draw):
    """A good document and its columns."""
    document = {"text": draw(TEXT)}
    columns = {"text": document["text"]}
    if draw(st.booleans()):
        document["id"] = draw(st.none() | TEXT | st.integers(-(2**63), 2**64 - 1))
        columns["native_id"] = document["id"] if isinstance(document["id"], str | None) else str(document["id"])
    if draw(st.booleans()):
        document["date"] = draw(st.none() | st.sampled_from(list(DAYS)))
        columns["published"] = DAYS.get(document["date"])
    if draw(st.booleans()):
        document["title"] = columns["title"] = draw(st.none() | TEXT)
    if draw(st.booleans()):
        document["meta"] = draw(st.none() | st.fixed_dictionaries({}, optional={"set": st.none() | TEXT, "name": TEXT}))
        columns["domain"] = (document["meta"] or {}).get("set")
        if columns.get("title") is None:
            columns["title"] = (document["meta"] or {}).get("name")
    document["ignored"] = draw(JSON)
    keys = draw(st.permutations(list(document)))
    line = json.dumps({key: document[key] for key in keys}, ensure_ascii=draw(st.booleans()))
    return line.encode("utf-8", "replace"), columns


BAD = {
    b'{"text": "a"': "not JSON",
    b"garbage": "not JSON",
    b'{"text": "a"}{"text": "b"}': "not JSON",
    b'{"text": "a"},': "not JSON",
    b'{"text": "\\ud800"}': "not JSON",  # an escaped lone surrogate is no character
    b'{"text": "a\x00"}': "not JSON",
    b'{"text": "\xff"}': "invalid UTF-8",
    b'{"text": "a", "other": "\xed\xa0\x80"}': "invalid UTF-8",
    b"[]": "not a JSON object",
    b'"text"': "not a JSON object",
    b"null": "not a JSON object",
    b"{}": "no text",
    b'{"text": null, "id": "7"}': "no text",
    b'{"text": 3}': "text is not a string",
    b'{"text": ["a"], "id": 7}': "text is not a string",
}
LINES = st.one_of(
    documents(),
    st.sampled_from([b"", b" ", b"\t \x0b\x0c"]).map(lambda line: (line, None)),
    st.sampled_from(list(BAD)).map(lambda line: (line, {"quarantine": BAD[line]})),
)


@st.composite
def files(draw, lines=LINES):
    """Bytes of a file, and the rows that they are."""
    data, expected = b"\xef\xbb\xbf" if draw(st.booleans()) else b"", []
    listed = draw(st.lists(lines, max_size=12))
    for i, (line, columns) in enumerate(listed):
        end = draw(st.sampled_from([b"\n", b"\r\n", b""] if i == len(listed) - 1 else [b"\n", b"\r\n"]))
        if columns is not None:
            where = {"byte_offset": len(data), "raw_bytes": len(line + end)}
            expected.append(where | {"quarantine": None} | columns)
        data += line + end
    return data, expected


def same(rows: list[dict], expected: list[dict]) -> None:
    assert [{name: row[name] for name in wanted} for row, wanted in zip(rows, expected)] == expected
    assert len(rows) == len(expected)


def small_batches(n_bytes: int) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(patch.object(jsonl, "BATCH_BYTES", n_bytes))
    return stack


SIZES = st.lists(st.integers(1, 120), min_size=1, max_size=4)


@settings(max_examples=150)
@given(made=files(), sizes=SIZES, batch=st.integers(1, 300))
def test_every_line_is_a_row_or_passed_over_wherever_blocks_are_cut(tmp_path_factory, made, sizes, batch):
    data, expected = made
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_bytes(data)
    with small_batches(batch):
        rows, counts = read(path, NESTED, sizes)
    same(rows, expected)
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    assert counts.raw_bytes + counts.skipped_bytes["blank line"] == len(data) - mark


@settings(max_examples=150)
@given(made=files(), cuts=st.lists(st.integers(1, 800), max_size=5), sizes=SIZES, batch=st.integers(1, 300))
def test_every_line_is_in_exactly_one_slice(tmp_path_factory, made, cuts, sizes, batch):
    data, expected = made
    path = tmp_path_factory.mktemp("slices") / "a.jsonl"
    path.write_bytes(data)
    borders = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    with small_batches(batch):
        slices = [read(path, NESTED, sizes, a, b)[0] for a, b in itertools.pairwise(borders)]
    same([row for rows in slices for row in rows], expected)


@pytest.mark.parametrize("border", range(1, 60))
def test_a_line_longer_than_its_slice_is_read_once(tmp_path, border):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(json.dumps({"text": c * n}).encode() + b"\n" for c, n in [("a", 2), ("b", 25), ("c", 2)]))
    size = path.stat().st_size
    for width in (1, 3, 10):
        borders = [0, *range(border, min(border + 3 * width, size), width), size]
        rows = [row for a, b in itertools.pairwise(borders) for row in read(path, None, (7,), a, b)[0]]
        assert [row["text"] for row in rows] == ["aa", "b" * 25, "cc"]


@settings(max_examples=150)
@given(made=files(documents() | st.sampled_from([(b"", None), (b"{}", {"quarantine": "no text"})])))
def test_a_good_line_is_read_alike_among_good_lines_and_beside_a_bad_one(tmp_path_factory, made):
    data, _ = made
    if data and not data.endswith(b"\n"):
        data += b"\n"
    folder = tmp_path_factory.mktemp("paths")
    at_once = rows_of(folder, data, NESTED)
    one_by_one = rows_of(folder, data + b'{"text": "\xff"}\n', NESTED)
    assert one_by_one[:-1] == at_once
    assert one_by_one[-1]["quarantine"] == "invalid UTF-8"


# What pyarrow and orjson take differently, and what only one of them takes.
ODD = [
    b'{"text": "a", "x": NaN}',
    b'{"text": "a", "x": -Infinity}',
    b'{"text": "a", "id": 7, "x": NaN}',
    b'{"text": "a", "x": 1e999}',
    b'{"text": "a", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"text": "a", "x": 123456789012345678901234567890}',
    b'{"text": "a", "text": "b"}',
    b'{"text": "a", "meta": {"set": "x", "set": "y"}}',
    b'{"text": "a", "x": {"y": 1, "y": 2}}',
    b'{"te\\u0078t": "a"}',
    b'{"text": "a", "meta": "no table"}',
    b'{"text": "a", "meta": {"set": {"deeper": 1}}}',
    b'{"text": "a", "id": true}',
    b'{"text": "a", "id": 1.5}',
    b'{"text": "a", "id": [1]}',
    b'{"text": "a", "date": 20190425}',
    b'{"text": "a", "x": "\\ud800"}',
    b'{"text": "a", "x": 01}',
    b'{"text": null, "id": "7", "date": "2019-04-25", "meta": {"set": "x"}}',
    b'{"text": "\\ud83d\\ude00\\u0000"}',
    b' {"text": "a"}',
    b'{"text": "a"} ',
    b'{"text": "a"}\r',
    b'{"a": {}}\r',
]


@pytest.mark.parametrize("line", ODD, ids=lambda line: line[:40].decode())
def test_an_odd_line_is_read_alike_in_any_company(tmp_path, line):
    alone = rows_of(tmp_path, line, NESTED)
    assert len(alone) == 1
    for other in (b'{"text": "good"}', b'{"text": "\xff"}'):
        beside = rows_of(tmp_path, line + b"\n" + other, NESTED)
        assert [row | {"raw_bytes": 0} for row in beside[:1]] == [alone[0] | {"raw_bytes": 0}]


def test_what_python_writes_for_no_number_is_read_whatever_the_other_fields(tmp_path):
    for number in (b"NaN", b"Infinity", b"1e999"):
        (row,) = rows_of(tmp_path, b'{"text": "a", "id": 7, "x": ' + number + b"}")
        assert (row["text"], row["native_id"], row["quarantine"]) == ("a", "7", None)


def test_an_object_over_two_lines_is_two_bad_lines_even_beside_two_in_one(tmp_path):
    lines = [b'{"text": "a"} {"text": "b"}', b'{"text": "c", "x": {}', b"}", b'{"text": "d"}']
    assert brief(rows_of(tmp_path, b"\n".join(lines))) == ["not JSON", "not JSON", "not JSON", "d"]


def test_columns_come_from_the_first_field_that_is_not_null(tmp_path):
    options = Options(fields={"text": ["body", "text"], "published": ["date", "created"], "domain": "meta.a.b"})
    lines = [
        {"body": None, "text": "t", "created": "2020-01-02", "meta": {"a": {"b": "x"}}},
        {"body": "b", "text": "t", "date": "2021-01-02", "created": "2020-01-02", "meta": {"a": None}},
    ]
    rows = rows_of(tmp_path, b"\n".join(json.dumps(line).encode() for line in lines), options)
    assert [(row["text"], row["published"], row["domain"]) for row in rows] == [
        ("t", date(2020, 1, 2), "x"),
        ("b", date(2021, 1, 2), None),
    ]


def test_numbers_and_truths_become_the_strings_they_were(tmp_path):
    lines = b'{"text": "a", "id": 18446744073709551615}\n{"text": "a", "id": -1.5}\n{"text": "a", "id": true}\n'
    assert [row["native_id"] for row in rows_of(tmp_path, lines)] == ["18446744073709551615", "-1.5", "true"]


@pytest.mark.parametrize("other", [b"", b'\n{"text": "\xff"}'])
def test_a_record_without_text_keeps_its_other_columns(tmp_path, other):
    row = rows_of(tmp_path, b'{"id": "7", "url": "http://a.b/c", "date": "2019-04-25"}' + other)[0]
    assert (row["native_id"], row["uri"], row["published"]) == ("7", "http://a.b/c", date(2019, 4, 25))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\n \r\n", b"\xef\xbb\xbf\n"])
def test_files_without_a_record(tmp_path, data):
    assert rows_of(tmp_path, data) == []


def test_a_mark_is_one_only_at_the_beginning_of_the_file(tmp_path):
    line = b'\xef\xbb\xbf{"text": "a"}\n'
    assert brief(rows_of(tmp_path, line + line)) == ["a", "not JSON"]


@pytest.mark.parametrize("batch", [1, 20, 1 << 20])
@pytest.mark.parametrize("size", [1, 13, 1 << 20])
def test_lines_up_to_the_limit_are_read_and_longer_ones_quarantined(tmp_path, batch, size):
    lines = [json.dumps({"text": "x" * n}).encode() + b"\n" for n in (10, 11, 300, 10, 12)]
    limit = len(lines[1])
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(lines)[:-1])
    with small_batches(batch):
        rows, _ = read(path, Options(max_record_bytes=limit), (size,))
    reason = f"line longer than {limit} bytes"
    assert brief(rows) == ["x" * 10, "x" * 11, reason, "x" * 10, "x" * 12]
    assert [row["raw_bytes"] for row in rows] == [len(line) for line in lines[:-1]] + [len(lines[-1]) - 1]
    assert [row["byte_offset"] for row in rows] == [sum(map(len, lines[:i])) for i in range(5)]


def test_a_line_of_50_mb_is_quarantined_in_bounded_memory(tmp_path):
    good = b'{"text": "good"}\n'
    line = b'{"text": "' + b"x" * 50_000_000 + b'"}\n'
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(good + line + good, 1))
    length = len(line)
    del line
    tracemalloc.start()
    rows, _ = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert brief(rows) == ["good", "line longer than 33554432 bytes", "good"]
    assert [row["raw_bytes"] for row in rows] == [17, length, 17]
    assert peak < 100 << 20


PACK = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}


@pytest.mark.parametrize("name", PACK)
def test_compressed_files_are_read_like_plain_ones(tmp_path, name):
    data = b"".join(b'{"text": "%d"}\n' % i for i in range(100))
    packed = PACK[name](data[:500]) + PACK[name](data[500:]) + bytes(100)
    assert rows_of(tmp_path, packed) == rows_of(tmp_path, data)


@pytest.mark.parametrize("name", PACK)
def test_a_truncated_file_gives_its_whole_lines_and_one_quarantined_piece(tmp_path, name):
    data = b"".join(b'{"text": "%d"}\n' % (i * 7919) for i in range(1000))
    packed = PACK[name](data) + PACK[name](data)[:-9]
    rows = rows_of(tmp_path, packed)
    assert brief(rows)[:1000] == [str(i * 7919) for i in range(1000)]
    assert rows[-1]["quarantine"] == f"truncated {name} stream"
    assert all(row["text"] for row in rows[:-1])


def test_garbage_after_the_stream_is_one_quarantined_piece(tmp_path):
    rows = rows_of(tmp_path, gzip.compress(b'{"text": "a"}\n{"text": "b"}') + b"garbage")
    assert brief(rows) == ["a", "b", "garbage after the gzip stream"]
    assert [(row["byte_offset"], row["raw_bytes"]) for row in rows] == [(0, 14), (14, 13), (27, 0)]


def test_a_piece_cut_by_damage_is_quarantined_where_it_is(tmp_path):
    whole, half = b'{"text": "a"}\n', b'{"text": "bcd'
    rows = rows_of(tmp_path, gzip.compress(whole + half)[:-8])
    assert brief(rows) == ["a", "truncated gzip stream"]
    assert (rows[1]["byte_offset"], rows[1]["raw_bytes"]) == (len(whole), len(half))


def test_days():
    assert {day: iso_date(day) for day in DAYS} == DAYS
    assert iso_dates(jsonl.pa.array([*DAYS, None], "large_string")).to_pylist() == [*DAYS.values(), None]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": "a", "title": "meta", "uri": "meta.url"}, "cannot take both 'meta' and 'meta.url'"),
        ({"text": []}, "where the text is"),
        ({"text": [1]}, "name of a JSON field or a list of names"),
        ({"text": "a", "doc_id": "b"}, "no column a JSON field can fill"),
    ],
)
def test_fields_that_cannot_be_meant(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        Options(fields=fields)


# Files of nasty/index.jsonl by the number of its good documents. `bad_checksum` is not among them: the library gives
# nothing with its error, so that only the blocks of 128 KiB before the last 4 KiB are read.
GOOD = {
    "gz/bad_crc.json.gz": 50,
    "gz/trailing_garbage.jsonl.gz": 50,
    "gz/trailing_zeros.jsonl.gz": 50,
    "gz/multi_member.jsonl.gz": 56,
    "gz/member_split_in_line.jsonl.gz": 50,
    "gz/empty_payload.jsonl.gz": 0,
    "gz/zero_bytes.jsonl.gz": 0,
    "gz/not_gzip.jsonl.gz": 50,
    "zst/multi_frame.jsonl.zst": 40,
    "zst/window_2GiB.jsonl.zst": 50,
    "zst/no_content_size.jsonl.zst": 50,
    "jsonl/crlf.jsonl": 20,
    "jsonl/linesep_in_text.jsonl": 4,
    "jsonl/empty.jsonl": 0,
    "jsonl/only_newlines.jsonl": 0,
    "jsonl/empty_docs.jsonl": 0,
    "jsonl/duplicate_ids.jsonl": 10,
}
DAMAGED = {
    "gz/bad_crc.json.gz": "damaged gzip stream",
    "gz/trailing_garbage.jsonl.gz": "garbage after the gzip stream",
    "gz/truncated.jsonl.gz": "truncated gzip stream",
    "gz/flipped_byte.json.gz": "damaged gzip stream",
    "zst/truncated.jsonl.zst": "truncated zstd stream",
    "zst/bad_checksum.jsonl.zst": "damaged zstd stream",
}


@pytest.mark.parametrize("file", GOOD)
def test_nasty_files_give_their_good_documents(shared_data, file):
    rows, _ = read(shared_data / "nasty" / file)
    # Documents without a letter or digit (empty_docs) are records here: a profile drops them, not the reader.
    assert sum(any(map(str.isalnum, row["text"] or "")) for row in rows) == GOOD[file]


@pytest.mark.parametrize("file", DAMAGED)
def test_nasty_files_say_what_is_wrong_with_them(shared_data, file):
    rows, _ = read(shared_data / "nasty" / file)
    assert rows[-1]["quarantine"] == DAMAGED[file]


def test_nasty_lines_are_all_accounted_for(shared_data):
    path = shared_data / "nasty" / "jsonl" / "malformed.jsonl"
    rows, counts = read(path)
    assert counts.records + counts.skipped.total() == path.read_bytes().count(b"\n") + 1
    assert sum(row["text"] is not None for row in rows) >= 6


def test_utf16_is_quarantined(shared_data):
    # index.jsonl counts five good documents: the format is UTF-8, and other encodings are not guessed.
    rows, _ = read(shared_data / "nasty" / "jsonl" / "utf16.jsonl")
    assert rows
    assert all(row["quarantine"] for row in rows)


def test_a_document_of_50_mb_is_read_if_the_corpus_says_so(shared_data):
    path = shared_data / "nasty" / "big" / "one_doc_50MB.jsonl.zst"
    assert brief(read(path)[0]) == ["line longer than 33554432 bytes"]
    [row], _ = read(path, Options(max_record_bytes=64 << 20))
    assert len(row["text"]) > 50_000_000


def test_an_array_of_documents_on_one_line_is_one_bad_line(shared_data):
    rows, _ = read(shared_data / "nasty" / "big" / "array_one_line.json.gz")
    assert brief(rows) == ["not a JSON object"]
