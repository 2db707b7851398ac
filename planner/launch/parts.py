"""Reading token parts so that damage is an error with the part's name, never other tokens than were written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.errors import AssayError, reason
from corpora.part import DAMAGE
from corpora.room import Room


def read(room: Room, sha256: str, group: int, columns: Sequence[str]) -> pa.Table:
    """Some columns of a row group, the checksums of its pages verified. Raises AssayError, naming a damaged part."""
    with _open(room, sha256) as parquet:
        return _columns(parquet, group, columns)


def training_tokens(room: Room, sha256: str) -> tuple[int, ...]:
    """Of each row group: the ids of its documents of the split `train`, and one end for each; no ids are read.

    Raises AssayError, naming a damaged part.
    """
    with _open(room, sha256) as parquet:
        tables = [_columns(parquet, group, ("split", "n_tokens")) for group in range(parquet.num_row_groups)]
    return tuple(_training_tokens(table) for table in tables)


def _training_tokens(table: pa.Table) -> int:
    counts = table["n_tokens"].filter(pc.equal(table["split"], "train"))
    return (pc.sum(counts).as_py() or 0) + len(counts)


@contextlib.contextmanager
def _open(room: Room, sha256: str) -> Iterator[pq.ParquetFile]:
    try:
        with room.open("tokens", sha256) as file:
            yield pq.ParquetFile(file, page_checksum_verification=True)
    except DAMAGE as error:
        raise AssayError(
            f"the part {room.path('tokens', sha256)} is damaged or cannot be read ({reason(error)}): run "
            f"`assay reconcile {room.lake.option}`"
        ) from None


def _columns(parquet: pq.ParquetFile, group: int, columns: Sequence[str]) -> pa.Table:
    return parquet.read_row_group(group, columns=columns, use_threads=False).select(columns)
