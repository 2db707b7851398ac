"""A raw file, or a slice of one, as a stream of decompressed blocks, with its damage told instead of raised."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileOpener

from corpora import stores
from corpora.errors import AssayError
from corpora.readers.decompress import BLOCK_BYTES, Damaged, decompressed


class ChangedError(AssayError):
    """A raw file that is not the one any more that was listed; the message names it."""


def version(info: Mapping[str, Any]) -> str:
    """ETag or time of the last change of a file as fsspec describes it: another one means another content.

    Two are equal or not; neither is the later one, so no clock matters. Where there is no ETag, a file that is written
    again with the same size within one tick of its disk's clock (milliseconds), or whose time is set back to what it
    was, is taken for unchanged.
    """
    keys = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
    return str(next((info[key] for key in keys if info.get(key) is not None), ""))


@dataclass
class Source:
    """A raw file to read, and what became of reading it.

    `blocks()` does not raise on damaged data: it ends, and `damage` says why in a few words. What was decoded before
    the damage has been yielded; the reader quarantines the piece that it was in the middle of.
    """

    path: str
    """Path relative to the corpus root, with `/`."""
    url: str
    """Where `stores.open_url` finds it."""
    start: int = 0
    """First byte of the slice; only uncompressed files are sliced."""
    end: int | None = None
    """Lines that begin after `start` and not after this byte belong to the slice. None: all to the end of the file."""
    progress: Callable[[int], None] = lambda n_bytes: None
    """Called with the number of raw bytes just read."""
    listed: tuple[int, str] | None = None
    """Size and `version` that the file was listed with: another one is not read. None: whatever is there is read."""
    damage: str | None = None
    decoded_bytes: int = 0
    """Bytes that `blocks` has yielded so far."""

    @property
    def whole(self) -> bool:
        """Whether this is all of the file."""
        return self.start == 0 and self.end is None

    def blocks(self) -> Iterator[bytes]:
        """Decompressed blocks from `start` to the end of the file, none of them empty or above `BLOCK_BYTES`.

        Raises ChangedError as soon as the file is not the one any more that was listed.
        """
        fs, path = stores.open_url(self.url)
        with fs.open(path, "rb") as file:
            file.seek(self.start)
            blocks = decompressed(self._raw(file)) if self.start == 0 else self._raw(file)
            try:
                for block in blocks:
                    self.decoded_bytes += len(block)
                    yield block
            except Damaged as damaged:
                self.damage = str(damaged)

    def read(self, limit: int) -> bytes:
        """All decompressed bytes, or the first `limit` of more; then `damage` says so."""
        parts, total = [], 0
        for block in self.blocks():
            parts.append(block)
            total += len(block)
            if total > limit:
                self.damage = f"larger than {limit} bytes"
                break
        return b"".join(parts)[:limit]

    def _raw(self, file: BinaryIO) -> Iterator[bytes]:
        more = True
        while more:
            block = file.read(BLOCK_BYTES)
            # Asked of the open file, which costs nothing, after it was read: what is given on was read from that one.
            if self.listed and _opened(file) not in (None, self.listed):
                raise ChangedError(f"the raw file {self.path} changed while it was read")
            if more := bool(block):
                self.progress(len(block))
                yield block


def _opened(file: BinaryIO) -> tuple[int, str] | None:
    """Size and version of an open file; None where its file system does not say. S3 reads no other than was opened."""
    if isinstance(file, LocalFileOpener):
        info = os.fstat(file.fileno())
        return info.st_size, version({"mtime": info.st_mtime})
    details = getattr(file, "details", None) or {}
    return (details["size"], version(details)) if "ETag" in details else None
