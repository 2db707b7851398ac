"""Identity of documents and texts: 128-bit hashes, written as 32 hex digits."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.part import mix

HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_VALUE = np.zeros(256, np.uint8)
_VALUE[HEX] = np.arange(16)


def doc_ids(corpus: str, source_file: str, byte_offsets: np.ndarray) -> pa.Array:
    """Ids of the records of one source file: large_string of 32 hex digits, (n,) from int64 offsets (n,).

    The file has a 128-bit BLAKE2b of corpus and path; each half is mixed with the offset by a bijection of 64 bits, so
    two records of one file never share an id, and records of different files do with the chance of a 128-bit hash.
    """
    name = hashlib.blake2b(f"{corpus}\0{source_file}".encode(), digest_size=16).digest()
    high, low = np.frombuffer(name, "<u8")
    offsets = byte_offsets.astype(np.uint64)
    return to_hex(mix(mix(offsets) ^ high), mix(offsets ^ low))


def content_hashes(texts: pa.Array) -> pa.Array:
    """BLAKE2b-128 of each text's UTF-8 bytes as 32 hex digits; null where the text is null."""
    data = memoryview(texts.buffers()[2] or b"")
    bounds = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1].tolist()
    digests = b"".join(hashlib.blake2b(data[begin:end], digest_size=16).digest() for begin, end in pairwise(bounds))
    halves = np.frombuffer(digests, ">u8").reshape(-1, 2)
    hashes = to_hex(halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64))
    if not texts.null_count:
        return hashes
    valid = texts.is_valid()
    return pc.if_else(valid, hashes, pa.scalar(None, hashes.type))


def to_hex(high: np.ndarray, low: np.ndarray) -> pa.Array:
    """Pairs of uint64 (n,) as large_string of 32 hex digits, the high half first."""
    raw = np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)
    digits = np.empty((len(raw), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = HEX[raw >> 4], HEX[raw & 15]
    offsets = np.arange(len(raw) + 1, dtype=np.int64) * 32
    return pa.LargeStringArray.from_buffers(len(raw), pa.py_buffer(offsets), pa.py_buffer(digits))


def from_hex(ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The two uint64 halves (n,) of 32 hex digits; nulls are zeros."""
    if ids.null_count:
        ids = ids.fill_null("0" * 32)
    bounds = np.frombuffer(ids.buffers()[1], np.int64)[ids.offset : ids.offset + len(ids) + 1]
    digits = np.frombuffer(ids.buffers()[2] or b"", np.uint8)[bounds[0] : bounds[-1]].reshape(-1, 32)
    nibbles = _VALUE[digits]
    halves = ((nibbles[:, 0::2] << 4) | nibbles[:, 1::2]).reshape(-1).view(">u8").reshape(-1, 2)
    return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)
