"""Raw pieces -> batches of documents: read, clean, identify.

Kernels over Arrow data; the reader is the only loop over documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora import ids
from corpora.catalog import Clean
from corpora.part import row_digest
from corpora.readers import reader
from corpora.readers.base import Counts, quarantined
from corpora.readers.source import Source
from corpora.schema import DOCUMENTS

VERSION = 1

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
# Bytes that `[clean]` may change.
CHANGED = np.array([(b < 0x20 and b not in b"\t\n") or b == 0x7F for b in range(256)])
DOMAIN = r"^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?(?:[wW]{3}\.)?(?P<domain>[^/:?#]+)"


def read(source: Source, format_: str, options: Any, counts: Counts) -> Iterator[pa.RecordBatch]:
    """Batches of `schema.RECORD` of one source; a file in which nothing is found is itself a quarantined record.

    A later slice of a file may well be empty: its one line can begin, and be read, in the slice before.
    """
    before, cut_before = _cut(counts)
    yield from reader(format_).read(source, options, counts)
    counts.containers += 1
    pieces, cut = _cut(counts)
    counts.decoded_bytes += source.decoded_bytes if source.whole else cut - cut_before  # slices read past their border
    nothing = source.start == 0 and pieces == before
    if nothing:
        counts.record(0)
        yield quarantined(source.start, 0, "no documents" if source.decoded_bytes else "empty file")
    counts.unreadable += bool(nothing or source.damage)


def _cut(counts: Counts) -> tuple[int, int]:
    """Pieces that were cut so far, and their bytes."""
    return (
        counts.records + sum(counts.skipped.values()),
        counts.raw_bytes + sum(counts.skipped_bytes.values()),
    )


def clean(texts: pa.Array, rules: Clean, cleaned: Counter[str]) -> pa.Array:
    """Texts changed as the corpus's `[clean]` says; `cleaned` counts the documents that each rule changed.

    Few texts have anything to change: the regular expressions see those alone.
    """
    odd = _has_control(texts)
    if not odd.any():
        return texts
    changed = texts.filter(pa.array(odd))
    if rules.newlines:
        cleaned["newlines"] += pc.sum(pc.match_substring(changed, "\r")).as_py()
        changed = pc.replace_substring(pc.replace_substring(changed, "\r\n", "\n"), "\r", "\n")
    if rules.control:
        cleaned["control"] += pc.sum(pc.match_substring_regex(changed, CONTROL)).as_py()
        changed = pc.replace_substring_regex(changed, CONTROL, "")
    return pc.replace_with_mask(texts, pa.array(odd), changed)


def _has_control(texts: pa.Array) -> np.ndarray:
    """bool (n,): texts with a byte that `[clean]` may change; in UTF-8 it is never part of another character."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    found = np.flatnonzero(CHANGED[data[offsets[0] : offsets[-1]]]) + offsets[0]
    return np.searchsorted(found, offsets[1:]) > np.searchsorted(found, offsets[:-1])


def identify(records: pa.RecordBatch, corpus: str, license_: str, source_file: str) -> pa.RecordBatch:
    """`schema.DOCUMENTS` of a batch of `schema.RECORD` of one source file: ids, sizes, and what can be inferred."""
    n = records.num_rows
    text = records["text"]
    columns = {name: records[name] for name in records.schema.names} | {
        "doc_id": ids.doc_ids(corpus, source_file, records["byte_offset"].to_numpy()),
        "corpus": pa.repeat(pa.scalar(corpus, pa.large_string()), n),
        "source_file": pa.repeat(pa.scalar(source_file, pa.large_string()), n),
        "license": pc.fill_null(records["license"], license_),
        "domain": pc.coalesce(records["domain"], _domain(records["uri"])),
        "content_hash": ids.content_hashes(text),
        "n_bytes": pc.binary_length(text).cast(pa.int64()),
        "n_chars": pc.utf8_length(text).cast(pa.int64()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in DOCUMENTS.names], schema=DOCUMENTS)


def digest(documents: pa.RecordBatch) -> int:
    """Row digest of a batch: identity, content and raw extent of each document, as `part.row_digest` sums them."""
    return row_digest(
        *ids.from_hex(documents["doc_id"]),
        *ids.from_hex(documents["content_hash"]),
        documents["raw_bytes"].to_numpy().astype(np.uint64),
        documents["text"].is_valid().to_numpy(zero_copy_only=False),
    )


def rebatch(batches: Iterable[pa.RecordBatch], n_bytes: int, n_rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at least `n_bytes` bytes or `n_rows` rows, but the last."""
    pending: list[pa.RecordBatch] = []
    size = rows = 0
    for batch in batches:
        pending.append(batch)
        size, rows = size + batch.nbytes, rows + batch.num_rows
        if size >= n_bytes or rows >= n_rows:
            yield pa.concat_batches(pending)
            pending, size, rows = [], 0, 0
    if pending:
        yield pa.concat_batches(pending)


def _domain(uris: pa.Array) -> pa.Array:
    if uris.null_count == len(uris):
        return uris
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(uris, DOMAIN), "domain")).cast(pa.large_string())
