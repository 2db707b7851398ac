"""What readers share: the counts they keep, the builder of batches for those that go row by row, dates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import RECORD

BATCH_BYTES = 8 << 20  # text in one batch of records
MAX_RECORD_BYTES = 32 << 20  # a longer record is quarantined unless the corpus says otherwise


@dataclass
class Counts:
    """What a reader counts while it cuts, apart from the rows that it yields: `reconcile` compares the two."""

    containers: int = 0
    """Source files (or slices of them) opened."""
    unreadable: int = 0
    """Containers that are damaged, of the wrong format, or empty."""
    decoded_bytes: int = 0
    """Bytes of the containers after decompression."""
    records: int = 0
    """Pieces that became a row, quarantined ones too."""
    raw_bytes: int = 0
    """Bytes of those pieces."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Pieces passed over, by reason."""
    skipped_bytes: Counter[str] = field(default_factory=Counter)
    """Bytes of the pieces passed over, by reason."""

    def record(self, n_bytes: int, n: int = 1) -> None:
        """Count `n` pieces of together `n_bytes` bytes that become rows."""
        self.records += n
        self.raw_bytes += n_bytes

    def skip(self, reason: str, n_bytes: int, n: int = 1) -> None:
        """Count `n` pieces of together `n_bytes` bytes that are passed over."""
        self.skipped[reason] += n
        self.skipped_bytes[reason] += n_bytes


class RecordBuilder:
    """Collects records one at a time into batches of `schema.RECORD`: for extractors that work on one document.

    `add` and `quarantine` return a batch when one is full, else None; `flush` returns the rest, or None.
    """

    def __init__(self, batch_bytes: int = BATCH_BYTES) -> None:
        self.batch_bytes = batch_bytes
        self._rows: list[dict[str, Any]] = []
        self._text_bytes = 0

    def add(self, byte_offset: int, raw_bytes: int, text: str, **columns: str | date | None) -> pa.RecordBatch | None:
        """Add a record that could be read. `columns` are further columns of `schema.RECORD`."""
        encoded = text.encode("utf-8", "replace")  # a lone surrogate cannot be written as UTF-8
        self._rows.append({"byte_offset": byte_offset, "raw_bytes": raw_bytes, "text": encoded, **columns})
        self._text_bytes += len(encoded)
        return self.flush() if self._text_bytes >= self.batch_bytes else None

    def quarantine(
        self, byte_offset: int, raw_bytes: int, reason: str, **columns: str | date | None
    ) -> pa.RecordBatch | None:
        """Add a record that could not be read, with the reason."""
        self._rows.append({"byte_offset": byte_offset, "raw_bytes": raw_bytes, "quarantine": reason, **columns})
        return self.flush() if len(self._rows) >= 65_536 else None

    def flush(self) -> pa.RecordBatch | None:
        """The records collected since the last batch."""
        if not self._rows:
            return None
        arrays = []
        for column in RECORD:
            values = [row.get(column.name) for row in self._rows]
            if column.name == "text":
                arrays.append(pa.array(values, pa.large_binary()).cast(pa.large_string()))
            else:
                arrays.append(pa.array(values, column.type))
        self._rows, self._text_bytes = [], 0
        return pa.RecordBatch.from_arrays(arrays, schema=RECORD)


def quarantined(byte_offset: int, raw_bytes: int, reason: str) -> pa.RecordBatch:
    """A batch of one record that could not be read."""
    rows = RecordBuilder()
    rows.quarantine(byte_offset, raw_bytes, reason)
    return rows.flush()


def iso_date(value: str) -> date | None:
    """The date that a string begins with in ISO 8601's extended form (`2019-04-25T12:57:54Z`), or None."""
    day = value[:10]
    try:
        return date.fromisoformat(day) if day[4:5] == day[7:8] == "-" else None
    except ValueError:
        return None


def iso_dates(values: pa.Array) -> pa.Array:
    """`iso_date` of every string, as date32."""
    days = pc.utf8_slice_codeunits(values, 0, 10)
    whole = pc.match_substring_regex(days, r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
    whole = pc.and_(whole, pc.invert(pc.starts_with(days, "0000")))  # a year that ISO 8601 has, and Python has not
    if not pc.all(whole, min_count=0).as_py():
        days = pc.if_else(whole, days, pa.scalar(None, days.type))
    try:
        return pc.cast(days, pa.date32())
    except pa.ArrowInvalid:  # a day that its month has not
        return pa.array([value and iso_date(value) for value in days.to_pylist()], pa.date32())
