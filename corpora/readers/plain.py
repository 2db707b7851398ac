"""Plain text and Markdown: a file is a document."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa

from corpora.readers.base import MAX_RECORD_BYTES, Counts, RecordBuilder
from corpora.readers.source import Source

VERSION = 1

MARKS = (  # the longest first: that of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
HEADING_WITHIN = 2_000  # code points in which a title is looked for


@dataclass(frozen=True)
class Options:
    """What the corpus TOML may set under `[input.options]`."""

    encoding: str = "utf-8"
    """Of files without a byte order mark: the name of a Python codec."""
    max_record_bytes: int = MAX_RECORD_BYTES
    """A longer file is quarantined and not held in memory."""

    def __post_init__(self) -> None:
        """Raises LookupError for a codec that Python does not have, or that does not decode to text."""
        (b" " * 4).decode(self.encoding, "replace")  # no byte at all would not ask for the codec


def read(source: Source, options: Options, counts: Counts) -> Iterator[pa.RecordBatch]:
    """One batch with the one record of `source`; none for an empty file."""
    data = source.read(options.max_record_bytes)
    if not data and not source.damage:
        return
    counts.record(len(data))
    builder = RecordBuilder()
    path = _writable(source.path)
    text, reason = (None, source.damage) if source.damage else _decoded(data, options.encoding)
    if text is None:
        builder.quarantine(0, len(data), reason or "", native_id=path, title=PurePosixPath(path).stem)
    else:
        heading = _HEADING.search(text, 0, HEADING_WITHIN)
        title = _writable(heading[1].strip()) if heading else PurePosixPath(path).stem
        builder.add(0, len(data), text, native_id=path, title=title)
    if (batch := builder.flush()) is not None:
        yield batch


_HEADING = re.compile(r"^# +(\S.*)$", re.MULTILINE)


def _decoded(data: bytes, encoding: str) -> tuple[str | None, str | None]:
    """The text without its byte order mark, which has the say before `encoding`; or the reason why there is none."""
    mark, encoding = next((known for known in MARKS if data.startswith(known[0])), (b"", encoding))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeError as error:
        if not mark and b"\0" in data:
            return None, "binary"
        at = f" at byte {len(mark) + error.start}" if isinstance(error, UnicodeDecodeError) else ""
        return None, f"invalid {encoding.upper()}{at}"
    return (None, "binary") if "\0" in text else (text, None)


def _writable(name: str) -> str:
    """Without the lone surrogates of file names, and of some codecs, which UTF-8 does not have."""
    return name.encode("utf-8", "replace").decode()
