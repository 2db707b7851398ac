"""Parts: Parquet files with the same bytes for the same rows, written row group by row group in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 8 << 20  # one row group is one batch of a later stage
ROW_GROUP_ROWS = 1 << 17
READ_BYTES = 4 << 20
# What pyarrow raises over bytes that are not what was written, or over a disk that does not give them.
DAMAGE = (pa.ArrowException, OSError, LookupError, ValueError, TypeError, OverflowError, MemoryError)
MISALIGNED = "parts that should be aligned have different numbers of rows"

# Columns with few different values; of the others a dictionary would only cost time.
DICTIONARY = ["corpus", "source_file", "license", "domain", "cik", "company", "form", "quarantine", "outcome", "reason",
              "split", "profile", "tokenizer", "kind"]  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A part as manifests list it."""

    sha256: str
    rows: int
    bytes: int

    @classmethod
    def of(cls, path: Path, rows: int) -> Part:
        """The part that a finished file is."""
        with path.open("rb") as file:
            return cls(sha256_of(file), rows, path.stat().st_size)


class _Writer(pq.ParquetWriter):
    """Says nothing when it is collected unfinished on a full disk: who wrote has failed already, and said why."""

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            super().__del__()


class PartWriter:
    """Writes batches of one schema to a spool file; `close` gives the part, named by the sha256 of its bytes.

    A row group's batches are recombined before they are written: Parquet bytes change with the chunking.
    """

    def __init__(self, spool: Path, schema: pa.Schema, row_group_bytes: int = ROW_GROUP_BYTES) -> None:
        self.spool, self.schema, self.row_group_bytes = spool, schema, row_group_bytes
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = self._pending_rows = 0
        self._writer = _Writer(
            spool,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in schema.names if name in DICTIONARY] or False,
            write_statistics=[n for n in schema.names if n not in ("text", "tokens")],
            write_page_checksum=True,  # so that a reader may tell flipped bytes
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch of the writer's schema. One that is far larger than a row group is cut in halves."""
        if batch.num_rows > 1 and (batch.nbytes > 2 * self.row_group_bytes or batch.num_rows > 2 * ROW_GROUP_ROWS):
            middle = batch.num_rows // 2
            self.write(batch.slice(0, middle))
            self.write(batch.slice(middle))
            return
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        self._pending_rows += batch.num_rows
        if self._pending_bytes >= self.row_group_bytes or self._pending_rows >= ROW_GROUP_ROWS:
            self._flush()

    @property
    def empty(self) -> bool:
        """Whether no row was written."""
        return not (self.rows or self._pending_rows)

    def close(self) -> Part:
        """Finish the file and name it."""
        self._flush()
        try:
            self._writer.close()
        except OSError:
            self.abort()
            raise
        return Part.of(self.spool, self.rows)

    def abort(self) -> None:
        """Drop what was written."""
        with contextlib.suppress(OSError):
            self._writer.close()
        self._writer.is_open = False  # or pyarrow would try again, and say so, when the writer is collected
        self.spool.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._pending_rows:
            table = pa.Table.from_batches(self._pending, self.schema).combine_chunks()
            try:
                self._writer.write_table(table, row_group_size=len(table))
            except OSError:  # a full disk: give the room back that this file takes
                self.abort()
                raise
            self.rows += len(table)
        self._pending, self._pending_bytes, self._pending_rows = [], 0, 0


def sha256_of(file: BinaryIO) -> str:
    """sha256 of the rest of a file, as 64 hex digits."""
    digest = hashlib.sha256()
    while block := file.read(READ_BYTES):
        digest.update(block)
    return digest.hexdigest()


def listed(value: Any, kind: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind, part) of every part that a manifest or a receipt lists, however deep."""
    if isinstance(value, dict):
        if value.keys() == {"sha256", "rows", "bytes"}:
            yield kind, value
            return
        for name, entry in value.items():
            yield from listed(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from listed(entry, kind)


def batches(file: BinaryIO, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The batches of a part, one per row group, of all columns or of some, with checksums verified."""
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    for group in range(parquet.num_row_groups):
        table = parquet.read_row_group(group, columns=columns, use_threads=False).combine_chunks()
        yield from table.to_batches()


def aligned(streams: Sequence[Iterator[pa.RecordBatch]]) -> Iterator[tuple[pa.RecordBatch, ...]]:
    """Batches of parts whose rows are aligned, cut alike: at the borders of the first part's row groups.

    Raises ValueError where one part has more rows than another.
    """
    first, *others = streams
    cursors = [_Cursor(stream) for stream in others]
    for batch in first:
        yield batch, *(cursor.take(batch.num_rows) for cursor in cursors)
    if any(cursor.more() for cursor in cursors):
        raise ValueError(MISALIGNED)


class _Cursor:
    """A stream of batches that is read by numbers of rows."""

    def __init__(self, stream: Iterator[pa.RecordBatch]) -> None:
        self._stream: Iterator[pa.RecordBatch] = stream
        self._rest: pa.RecordBatch | None = None

    def more(self) -> bool:
        """Whether any row is left."""
        while self._rest is None or not self._rest.num_rows:
            self._rest = next(self._stream, None)
            if self._rest is None:
                return False
        return True

    def take(self, n: int) -> pa.RecordBatch:
        """The next `n` rows, at least one."""
        taken: list[pa.RecordBatch] = []
        while n:
            if not self.more():
                raise ValueError(MISALIGNED)
            taken.append(self._rest.slice(0, n))
            n -= taken[-1].num_rows
            self._rest = self._rest.slice(taken[-1].num_rows)
        return pa.concat_batches(taken)


def row_digest(*columns: np.ndarray) -> int:
    """A sum modulo 2^64 of one hash per row over uint64 columns: the same for any cut and any order of rows."""
    rows = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        rows = mix(rows ^ mix(column.astype(np.uint64)))
    return int(rows.sum(dtype=np.uint64))


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): a bijection of uint64 that spreads every bit."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
