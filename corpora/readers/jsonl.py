"""JSON Lines: one JSON object per line, plain or compressed; the layouts of The Pile, C4 and Dolma among others.

Lines are cut here, with a length limit. A block of lines is parsed at once by pyarrow with an explicit schema; only a
block in which anything is odd (invalid UTF-8, a malformed line, a field of another type) is parsed line by line.
pyarrow alone over a whole file would give up at one bad line and let invalid UTF-8 through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from corpora.readers.base import BATCH_BYTES, MAX_RECORD_BYTES, Counts, RecordBuilder, iso_date, iso_dates, quarantined
from corpora.readers.source import Source
from corpora.schema import RECORD

VERSION = 2
SPLITTABLE = True  # an uncompressed file can be read in slices

NEWLINE, CARRIAGE_RETURN, OPEN, CLOSE = b"\n\r{}"
BOM = b"\xef\xbb\xbf"

_FIELDS = {
    "text": ("text",),
    "native_id": ("id",),
    "uri": ("url",),
    "title": ("title",),
    "published": ("date", "timestamp", "created"),
}


@dataclass(frozen=True)
class Options:
    """What `[input.options]` may say of a JSON Lines input."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _FIELDS)
    """Column of `documents` -> the JSON fields it is taken from, the first not null; `meta.set` names a nested one."""
    max_record_bytes: int = MAX_RECORD_BYTES
    """Bytes of the longest line that is read; a longer one is quarantined."""

    def __post_init__(self) -> None:
        fields = {name: (paths,) if isinstance(paths, str) else paths for name, paths in self.fields.items()}
        for name, paths in fields.items():
            if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
                raise ValueError(f"fields: {name} must be the name of a JSON field or a list of names, not {paths!r}")
        fields = {name: tuple(paths) for name, paths in fields.items()}
        if unknown := fields.keys() - set(RECORD.names) | fields.keys() & {"byte_offset", "raw_bytes", "quarantine"}:
            raise ValueError(f"fields names {sorted(unknown)[0]!r}, which is no column a JSON field can fill")
        if not fields.get("text"):
            raise ValueError("fields must say where the text is")
        if self.max_record_bytes < 1:
            raise ValueError(f"max_record_bytes must be at least 1, not {self.max_record_bytes}")
        _json_schema({path for paths in fields.values() for path in paths})
        object.__setattr__(self, "fields", fields)


def read(source: Source, options: Options, counts: Counts) -> Iterator[pa.RecordBatch]:
    """Batches of `schema.RECORD`, one row per line that is not blank."""
    parser = _Parser(options, counts)
    offset, tail = source.start, b""
    for offset, lines in _cut(source, options.max_record_bytes):
        if isinstance(lines, int):
            counts.record(lines)
            yield quarantined(offset, lines, f"line longer than {options.max_record_bytes} bytes")
            offset += lines
            continue
        if source.damage:  # only the last run can be cut in the middle of a line
            lines, tail = _split_tail(lines)
        yield from parser.parse(offset, lines)
        offset += len(lines)
    if source.damage:
        if _is_object(tail):  # complete but for its newline
            yield from parser.parse(offset, tail)
            offset, tail = offset + len(tail), b""
        counts.record(len(tail))
        yield quarantined(offset, len(tail), source.damage)


def _cut(source: Source, limit: int) -> Iterator[tuple[int, bytes | int]]:
    """Runs of whole lines with the offset of the first; for a line beyond `limit` its length in the lines' place."""
    pending, offset, too_long = bytearray(), source.start, 0
    for position, block in _slice(source):
        if not pending and not too_long:
            offset = position
        if too_long:
            end = block.find(b"\n") + 1
            if not end:
                too_long += len(block)
                continue
            yield offset, too_long + end
            offset, too_long, block = offset + too_long + end, 0, block[end:]
        pending += block
        if len(pending) >= BATCH_BYTES:
            end = pending.rfind(b"\n") + 1
            if end:
                yield offset, bytes(memoryview(pending)[:end])
                offset += end
                del pending[:end]
            if len(pending) > limit:
                too_long = len(pending)
                pending.clear()
    if too_long:
        yield offset, too_long
    elif pending:
        yield offset, bytes(pending)


def _slice(source: Source) -> Iterator[tuple[int, bytes]]:
    """Blocks of the lines that begin after `start` (or at 0) and not after `end`: each line is in one slice."""
    position, inside = source.start, source.start == 0
    for block in source.blocks():
        if not inside:
            begin = block.find(b"\n") + 1
            inside = begin > 0
            position, block = position + (begin or len(block)), block[begin:] if inside else b""
            if source.end is not None and position + (not inside) > source.end:
                return  # one line spans the slice: none begins in it
        following = position + len(block)
        if source.end is not None and following > source.end:
            end = block.find(b"\n", max(0, source.end - position)) + 1
            if end:
                yield position, block[:end]
                return
        if block:
            yield position, block
        position = following


def _split_tail(lines: bytes) -> tuple[bytes, bytes]:
    end = lines.rfind(b"\n") + 1
    return lines[:end], lines[end:]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


class _Parser:
    """Turns runs of lines into batches: all at once where every line is as expected, line by line where one is not."""

    def __init__(self, options: Options, counts: Counts) -> None:
        self.options, self.counts = options, counts
        self.schema = _json_schema({path for paths in options.fields.values() for path in paths})

    def parse(self, offset: int, lines: bytes) -> Iterator[pa.RecordBatch]:
        """The batch of a run of whole lines that begins at `offset`, if any of them is not blank."""
        start = len(BOM) if offset == 0 and lines.startswith(BOM) else 0
        if start == len(lines):
            return
        begin, end = _line_bounds(lines, start)
        blank = (
            np.array([not lines[b:e].strip() for b, e in zip(begin, end)])
            if _maybe_blank(lines, begin)
            else np.zeros(len(begin), bool)
        )
        if blank.any():
            self.counts.skip("blank line", int((end - begin)[blank].sum()), int(blank.sum()))
            begin, end = begin[~blank], end[~blank]
        if not len(begin):
            return
        self.counts.record(int((end - begin).sum()), len(begin))
        table = self._at_once(lines, begin, end)
        if table is None:
            yield from self._one_by_one(lines, offset, begin, end)
            return
        columns = {"byte_offset": begin + offset, "raw_bytes": end - begin} | self._columns(table)
        columns["quarantine"] = pc.if_else(pc.is_null(columns["text"]), "no text", pa.scalar(None, pa.large_string()))
        yield _record_batch(columns, len(begin))

    def _at_once(self, lines: bytes, begin: np.ndarray, end: np.ndarray) -> pa.Table | None:
        """The parsed lines as a table, or None where anything about them is odd."""
        raw = np.frombuffer(lines, np.uint8)
        last = raw[end - 1]
        last = np.where(last == NEWLINE, raw[np.maximum(end - 2, 0)], last)
        last = np.where(last == CARRIAGE_RETURN, raw[np.maximum(end - 3, 0)], last)
        # An object across two lines, or two in one, cannot pass this together with the count of rows below.
        if (raw[begin] != OPEN).any() or (last != CLOSE).any() or (end - begin).max() > self.options.max_record_bytes:
            return None
        try:
            lines.decode("utf-8")
            table = pa_json.read_json(
                pa.BufferReader(lines[int(begin[0]) :]),
                read_options=pa_json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
                parse_options=pa_json.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="ignore"),
            )
            table.validate(full=True)  # an escaped lone surrogate is no UTF-8
        except (UnicodeDecodeError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        return table if len(table) == len(begin) else None

    def _columns(self, table: pa.Table) -> dict[str, pa.Array]:
        """Columns of `schema.RECORD` from those of parsed lines."""
        columns = {}
        for name, paths in self.options.fields.items():
            found = [_nested(table, path) for path in paths]
            value = found[0] if len(found) == 1 else pc.coalesce(*found)
            columns[name] = iso_dates(value) if pa.types.is_date32(RECORD.field(name).type) else value
        return columns

    def _one_by_one(self, lines: bytes, offset: int, begin: np.ndarray, end: np.ndarray) -> Iterator[pa.RecordBatch]:
        rows = RecordBuilder()
        for b, e in zip(begin.tolist(), end.tolist()):
            values, reason = self._values(lines[b:e])
            if reason:
                batch = rows.quarantine(offset + b, e - b, reason, **values)
            else:
                batch = rows.add(offset + b, e - b, **values)
            if batch:
                yield batch
        if batch := rows.flush():
            yield batch

    def _values(self, line: bytes) -> tuple[dict[str, Any], str | None]:
        """Columns of one line, and why it is quarantined if it is."""
        if len(line) > self.options.max_record_bytes:
            return {}, f"line longer than {self.options.max_record_bytes} bytes"
        try:
            document = orjson.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            return {}, "invalid UTF-8"
        except orjson.JSONDecodeError:
            # pyarrow takes NaN and any depth: what is good among good lines must be good beside a bad one.
            table = self._at_once(line, np.array([0]), np.array([len(line)]))
            if table is not None:
                values = {name: column[0].as_py() for name, column in self._columns(table).items()}
                return values, "no text" if values["text"] is None else None
            try:  # pandas and Python write NaN, which pyarrow takes unless a field is of another type
                document = orjson.loads(orjson.dumps(json.loads(line.decode("utf-8"))))
            except (ValueError, TypeError, RecursionError):
                return {}, "not JSON"
        if not isinstance(document, dict):
            return {}, "not a JSON object"
        values = {name: _first(document, paths) for name, paths in self.options.fields.items()}
        reason = None
        if not isinstance(values["text"], str):
            reason = "no text" if values["text"] is None else "text is not a string"
            values["text"] = None
        for name, value in values.items():
            if pa.types.is_date32(RECORD.field(name).type):
                values[name] = iso_date(value) if isinstance(value, str) else None
            elif value is not None and not isinstance(value, str):
                values[name] = orjson.dumps(value).decode() if isinstance(value, int | float) else None
        return values, reason


def _line_bounds(lines: bytes, start: int) -> tuple[np.ndarray, np.ndarray]:
    """First byte and end (its newline included) of every line, as int64 arrays."""
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == NEWLINE) + 1
    if not len(ends) or ends[-1] < len(lines):
        ends = np.append(ends, len(lines))
    return np.concatenate(([start], ends[:-1])), ends


def _maybe_blank(lines: bytes, begin: np.ndarray) -> bool:
    """Whether any line begins with white space."""
    first = np.frombuffer(lines, np.uint8)[begin[begin < len(lines)]]
    return bool((first <= ord(" ")).any())


def _json_schema(paths: set[str]) -> pa.Schema:
    """The explicit schema of a set of dotted paths to strings. Raises ValueError for a path inside another."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        *parents, leaf = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if node is None:
                raise ValueError(f"fields cannot take both {parent!r} and {path!r}: one is inside the other")
        node[leaf] = None

    def type_of(node: dict | None) -> pa.DataType:
        return pa.string() if node is None else pa.struct([(name, type_of(child)) for name, child in node.items()])

    return pa.schema([(name, type_of(child)) for name, child in tree.items()])


def _nested(table: pa.Table, path: str) -> pa.Array:
    name, *rest = path.split(".")
    value = table[name].combine_chunks()
    return (pc.struct_field(value, rest) if rest else value).cast(pa.large_string())


def _first(document: dict, paths: tuple[str, ...]) -> Any:
    """The value at the first of the dotted paths that is there and not null."""
    for path in paths:
        value: Any = document
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _record_batch(columns: dict[str, Any], n: int) -> pa.RecordBatch:
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in RECORD]
    return pa.RecordBatch.from_arrays(arrays, schema=RECORD)
