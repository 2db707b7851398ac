"""Records become documents: read, cleaned, identified, counted."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import ids
from corpora.catalog import Clean
from corpora.readers import jsonl
from corpora.readers.base import Counts
from corpora.readers.source import Source
from corpora.schema import DOCUMENTS, RECORD
from pipelines import documents

ALL, NONE = Clean(), Clean(newlines=False, control=False)


def records(*rows: dict) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [{"byte_offset": i, "raw_bytes": 10, **row} for i, row in enumerate(rows)], RECORD
    )


def read(path, data: bytes, start=0, end=None) -> tuple[list[dict], Counts]:
    path.write_bytes(data)
    counts = Counts()
    batches = documents.read(Source(path.name, str(path), start, end), "jsonl", jsonl.Options(), counts)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert counts.records == len(rows)
    return rows, counts


def test_a_container_is_counted(tmp_path):
    rows, counts = read(tmp_path / "a", gzip.compress(b'{"text": "a"}\n\n'))
    assert [row["text"] for row in rows] == ["a"]
    assert (counts.containers, counts.unreadable, counts.decoded_bytes) == (1, 0, 15)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty file"), (gzip.compress(b""), "empty file"), (b"\xef\xbb\xbf", "no documents")],
)
def test_a_container_in_which_nothing_is_found_is_a_quarantined_record(tmp_path, data, reason):
    rows, counts = read(tmp_path / "a", data)
    assert [(row["quarantine"], row["byte_offset"], row["raw_bytes"]) for row in rows] == [(reason, 0, 0)]
    assert (counts.containers, counts.unreadable) == (1, 1)


def test_a_container_of_pieces_passed_over_is_read(tmp_path):
    rows, counts = read(tmp_path / "a", b"\n\n")
    assert rows == []
    assert (counts.containers, counts.unreadable, counts.skipped["blank line"]) == (1, 0, 2)


def test_a_damaged_container_is_unreadable_once(tmp_path):
    rows, counts = read(tmp_path / "a", gzip.compress(b'{"text": "a"}\n')[:-4])
    assert [row["text"] for row in rows] == ["a", None]
    assert counts.unreadable == 1


def test_a_slice_in_which_no_record_begins_is_no_record(tmp_path):
    first, second = b'{"text": "a"}\n', b'{"text": "bcdefghi"}\n'
    data, border = first + second, len(first)
    both = [read(tmp_path / "a", data, 0, border), read(tmp_path / "a", data, border, len(data))]
    assert [row["byte_offset"] for rows, _ in both for row in rows] == [0, border]
    assert [counts.unreadable for _, counts in both] == [0, 0]


TEXTS = st.lists(st.none() | st.text(st.sampled_from("a\r\n\t\0\x1b\x7f\x85é😀")))


@given(TEXTS)
def test_cleaning_is_that_of_str(texts):
    def plain(text):
        return text and re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", "", re.sub("\r\n?", "\n", text))

    array, cleaned = pa.array(texts, pa.large_string()), Counter()
    assert documents.clean(array, ALL, cleaned).to_pylist() == [plain(text) for text in texts]
    assert cleaned["newlines"] == sum("\r" in (text or "") for text in texts)
    assert cleaned["control"] == sum(bool(re.search("[\0\x1b\x7f]", text or "")) for text in texts)
    assert documents.clean(array, NONE, Counter()).equals(array)


def test_each_rule_of_cleaning_alone():
    array = pa.array(["a\r\nb\rc\0"], pa.large_string())
    assert documents.clean(array, Clean(control=False), Counter()).to_pylist() == ["a\nb\nc\0"]
    assert documents.clean(array, Clean(newlines=False), Counter()).to_pylist() == ["a\r\nb\rc"]


@given(st.lists(st.none() | st.text()), st.integers(0, 3))
def test_documents_are_identified_on_any_slice(texts, begin):
    rows = [{"text": text, "quarantine": "why" if text is None else None} for text in texts]
    found = documents.identify(records(*rows).slice(begin), "news", "CC0", "a/b.jsonl")
    assert found.schema.equals(DOCUMENTS)
    found.validate(full=True)
    for row, text in zip(found.to_pylist(), texts[begin:]):
        assert (row["corpus"], row["source_file"], row["license"]) == ("news", "a/b.jsonl", "CC0")
        assert (row["text"], row["quarantine"]) == (text, "why" if text is None else None)
        hashed = None if text is None else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        sizes = (None, None) if text is None else (len(text.encode()), len(text))
        assert (row["content_hash"], row["n_bytes"], row["n_chars"]) == (hashed, *sizes)
    offsets = records(*rows).slice(begin)["byte_offset"].to_numpy()
    assert found["doc_id"].equals(ids.doc_ids("news", "a/b.jsonl", offsets))


def test_what_the_record_names_goes_before_what_is_inferred():
    rows = [{"text": "", "license": "MIT"}, {"text": "", "uri": "http://a.b/", "domain": "Books3"}, {"text": ""}]
    found = documents.identify(records(*rows), "pile", "CC0", "a").to_pylist()
    assert [row["license"] for row in found] == ["MIT", "CC0", "CC0"]
    assert [row["domain"] for row in found] == [None, "Books3", None]


@pytest.mark.parametrize(
    ("uri", "domain"),
    [
        ("http://example.com", "example.com"),
        ("https://www.Example.COM:8080/a?b#c", "example.com"),
        ("https://WWW.example.com/www.other.com", "example.com"),
        ("https://user:secret@sub.example.co.uk/", "sub.example.co.uk"),
        ("http://example.com?q=http://other.com", "example.com"),
        ("http://example.com#@other.com", "example.com"),
        ("ftp://bücher.de/x", "bücher.de"),
        ("wwwx.com", None),
        ("mailto:a@b.c", None),
        ("https:///path", None),
        ("", None),
        (None, None),
    ],
)
def test_domains(uri, domain):
    rows = [{"text": "", "uri": uri}, {"text": "", "uri": "http://other.org"}]
    found = documents.identify(records(*rows), "web", "CC0", "a")["domain"].to_pylist()
    assert found == [domain, "other.org"]
    alone = documents.identify(records(rows[0]), "web", "CC0", "a")["domain"].to_pylist()
    assert alone == [domain]


def test_the_digest_is_of_identity_content_and_extent():
    rows = [{"text": "a"}, {"text": "b"}, {"text": None, "quarantine": "x"}]

    def digest(listed, file="a"):
        return documents.digest(documents.identify(records(*listed), "web", "CC0", file))

    whole = documents.identify(records(*rows), "web", "CC0", "a")
    assert (documents.digest(whole.slice(0, 1)) + documents.digest(whole.slice(1))) % 2**64 == digest(rows)
    others = [
        digest(rows, "b"),
        digest([{"text": "c"}, *rows[1:]]),
        digest([{"text": "a", "raw_bytes": 11}, *rows[1:]]),
        digest([{"text": "a", "byte_offset": 5}, *rows[1:]]),
    ]
    assert len({digest(rows), *others}) == 5


@given(st.lists(st.integers(1, 5)), st.integers(1, 8), st.integers(1, 400))
def test_rebatching_changes_no_row(lengths, n_rows, n_bytes):
    batches = [records(*({"text": f"{i} {j}"} for j in range(n))) for i, n in enumerate(lengths)]
    found = list(documents.rebatch(iter(batches), n_bytes, n_rows))
    assert [row for batch in found for row in batch.to_pylist()] == [row for b in batches for row in b.to_pylist()]
    assert all(batch.num_rows >= n_rows or batch.nbytes >= n_bytes // 2 for batch in found[:-1])
    assert all(batch.num_rows < n_rows + 5 for batch in found)
