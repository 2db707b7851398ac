"""Keys that cross parts, through files: what a shuffle would do, in bounded memory and on any runner.

Each group of parts writes one file of its keys, sorted, one record batch per range of keys; the footer holds the offset
of each. A range is then read from every file, grouped, and its edges written the same way, one record batch per group
that they speak of, for the groups to collect. With 50 million keys this took 8.0 s and 295 MB where a GroupByKey took
20.5 s and 3,116 MB.

There are about as many groups as ranges, or a few: n keys make about sqrt(n) x sqrt(n) reads, whatever the parts. Each
batch carries a checksum, which is verified when it is read: Arrow's files have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from corpora import ids
from corpora.part import Part

VERSION = 3

RANGE_BYTES = 64 << 20  # keys of one range, all parts together; of one group, all ranges together
MAX_BITS = 11  # more ranges than 2^11 would be more and smaller reads: larger ranges are better
KEY_BYTES = 40
GROUP_PARTS = 8  # parts of a group, on average, where there are few
FEW_GROUPS = 64
DIGEST = 32  # hex digits
NONE = "0" * DIGEST
CHECKSUM = b"checksum"

KEYS = pa.schema(
    [(name, pa.uint64()) for name in ("key_high", "key_low", "doc_high", "doc_low")] + [("row", pa.int64())]
)
EDGES = pa.schema([("row", pa.int64()), *((n, pa.uint64()) for n in ("doc_high", "doc_low", "kept_high", "kept_low"))])


def range_bits(n_keys: int) -> int:
    """How many leading bits of a key name its range, so that one range has about `RANGE_BYTES` of keys."""
    return min(MAX_BITS, _bits(n_keys))


def groups(names: Sequence[str], rows: Sequence[int], n_keys: int) -> Iterator[slice]:
    """Which consecutive parts share a file of keys, given their names (sha256), their rows, and the keys of the lake.

    A group ends where a name says so, or when it is as large as a range: a part that comes changes its own group alone,
    but for the one by which the number of parts doubles.
    """
    limit = RANGE_BYTES << max(0, _bits(n_keys) - MAX_BITS)
    most = GROUP_PARTS * max(FEW_GROUPS, 1 << range_bits(n_keys))
    together = GROUP_PARTS << max(0, (len(names) // most).bit_length() - 1)
    begin = n_bytes = 0
    for index, (name, n_rows) in enumerate(zip(names, rows)):
        n_bytes += n_rows * KEY_BYTES
        if n_bytes >= limit or int(name[:8], 16) % together == 0 or index == len(names) - 1:
            yield slice(begin, index + 1)
            begin, n_bytes = index + 1, 0


def _bits(n_keys: int) -> int:
    return (n_keys * KEY_BYTES // RANGE_BYTES).bit_length()


def keys_of(content_hash: pa.Array, doc_id: pa.Array, rows: np.ndarray, begin: int = 0) -> pa.RecordBatch:
    """`KEYS` of the documents at some rows, in order of key; `begin`: which row of the group the first row is."""
    key_high, key_low = ids.from_hex(content_hash.take(pa.array(rows)))
    doc_high, doc_low = ids.from_hex(doc_id.take(pa.array(rows)))
    order = np.lexsort((doc_low, doc_high, key_low, key_high))
    columns = [column[order] for column in (key_high, key_low, doc_high, doc_low, rows + begin)]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=KEYS)


def write_ranges(spool: Path, keys: pa.RecordBatch, bits: int) -> Part:
    """Write sorted keys as one record batch per range."""
    bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits) if bits else np.zeros(0, np.uint64)
    cuts = [0, *np.searchsorted(keys["key_high"].to_numpy(), bounds).tolist(), len(keys)]
    return _write(spool, KEYS, (keys.slice(a, b - a) for a, b in pairwise(cuts)), len(keys))


def write_edges(spool: Path, edges: pa.RecordBatch, group: np.ndarray, n_groups: int) -> tuple[Part, str]:
    """Write edges as one record batch per group, in order of row; `group` (m,) says which group each speaks of.

    Also the digests of all batches, one after the other, `NONE` for an empty one: a group's findings depend on its own
    batches alone.
    """
    order = np.lexsort((edges["row"].to_numpy(), group))
    cuts = np.searchsorted(group[order], np.arange(n_groups + 1)).tolist()
    edges = edges.take(pa.array(order))
    batches = [edges.slice(a, b - a) for a, b in pairwise(cuts)]
    digests = "".join(_digest(batch) if len(batch) else NONE for batch in batches)
    return _write(spool, EDGES, batches, len(edges)), digests


def digest_of(digests: str, index: int) -> str | None:
    """The digest of one group of those that `write_edges` gives; None where nothing speaks of it."""
    found = digests[index * DIGEST : (index + 1) * DIGEST]
    return None if found == NONE else found


def read_batch(file: BinaryIO, index: int) -> pa.RecordBatch:
    """One record batch of such a file: the footer says where it lies, the others are not read.

    Raises ValueError where it is not the one that was written there.
    """
    batch, noted = pa.ipc.open_file(file).get_batch_with_custom_metadata(index)
    if noted is None or noted.get(CHECKSUM) != _checksum(batch, index):
        raise ValueError(f"record batch {index} is damaged")
    return batch


def concatenated(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> dict[str, np.ndarray]:
    """Columns of several batches as numpy arrays."""
    table = pa.Table.from_batches(batches, schema)
    return {name: table[name].to_numpy() for name in schema.names}


def _digest(batch: pa.RecordBatch) -> str:
    """128 bits of the values of a batch, as hex."""
    digest = hashlib.blake2b(digest_size=16)
    for column in batch.columns:
        digest.update(np.ascontiguousarray(column.to_numpy()))
    return digest.hexdigest()


def _checksum(batch: pa.RecordBatch, index: int) -> bytes:
    return f"{index} {_digest(batch)}".encode()


def _write(spool: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], rows: int) -> Part:
    with pa.OSFile(str(spool), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for index, batch in enumerate(batches):
            writer.write_batch(batch, custom_metadata={CHECKSUM: _checksum(batch, index)})
    return Part.of(spool, rows)
