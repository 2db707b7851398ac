"""Ids and content hashes: unique, the same everywhere, right on any slice of an array."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpora.ids import content_hashes, doc_ids, from_hex, to_hex

UINT64 = st.integers(0, 2**64 - 1)
TEXTS = st.lists(st.none() | st.text())


def halves(pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([high for high, _ in pairs], np.uint64), np.array([low for _, low in pairs], np.uint64)


@given(st.lists(st.tuples(UINT64, UINT64)))
def test_hex_is_what_python_prints(pairs):
    found = to_hex(*halves(pairs))
    assert found.type == pa.large_string()
    assert found.to_pylist() == [f"{high:016x}{low:016x}" for high, low in pairs]


@given(st.lists(st.none() | st.tuples(UINT64, UINT64)), st.integers(0, 5), st.integers(0, 5))
def test_hex_round_trip_of_any_slice(pairs, begin, end):
    digits = [None if pair is None else f"{pair[0]:016x}{pair[1]:016x}" for pair in pairs]
    array = pa.array(digits, pa.large_string()).slice(begin, max(0, len(pairs) - begin - end))
    expected = [pair or (0, 0) for pair in pairs[begin : begin + len(array)]]
    assert list(zip(*(half.tolist() for half in from_hex(array)))) == expected


@given(TEXTS, st.integers(0, 5), st.integers(0, 5))
def test_content_hash_is_that_of_hashlib_on_any_slice(texts, begin, end):
    array = pa.array(texts, pa.large_string()).slice(begin, max(0, len(texts) - begin - end))
    expected = [
        None if text is None else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        for text in texts[begin : begin + len(array)]
    ]
    assert content_hashes(array).to_pylist() == expected


def test_what_lies_under_a_null_does_not_matter():
    validity = pa.py_buffer(b"\x05")
    offsets, data = pa.py_buffer(np.array([0, 1, 2, 3], np.int64)), pa.py_buffer(b"abc")
    texts = pa.LargeStringArray.from_buffers(3, offsets, data, validity)
    assert texts.to_pylist() == ["a", None, "c"]
    assert content_hashes(texts).equals(content_hashes(pa.array(["a", None, "c"], pa.large_string())))


@given(st.sets(st.integers(0, 2**63 - 1)))
def test_ids_are_unique_within_a_file(offsets):
    ids = doc_ids("web", "a.jsonl", np.array(sorted(offsets), np.int64)).to_pylist()
    assert len(set(ids)) == len(offsets)
    assert all(len(id_) == 32 for id_ in ids)


def test_ids_depend_on_corpus_file_and_offset_alone():
    offsets = np.array([0, 7, 2**40], np.int64)
    sets = [
        set(doc_ids(corpus, file, offsets).to_pylist())
        for corpus, file in [("web", "a"), ("web", "b"), ("news", "a"), ("we", "ba")]
    ]
    assert len(set.union(*sets)) == 12
    assert doc_ids("web", "a", offsets[1:]).to_pylist() == doc_ids("web", "a", offsets).to_pylist()[1:]


def test_ids_are_the_same_everywhere():
    # Written down: another value here would orphan every lake there is.
    assert doc_ids("web", "2024/a.jsonl", np.array([0, 4096])).to_pylist() == GOLDEN


GOLDEN = ["09fdb7ebd2e690c349d728cd3c24ba0b", "5396fe2869838b2608b6b6cdf076b331"]
