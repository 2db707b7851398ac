"""A raw file, or a slice of one, as a stream of decompressed blocks, with its damage told instead of raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import fsspec

from corpora.readers.decompress import BLOCK_BYTES, Damaged, decompressed


@dataclass
class Source:
    """A raw file to read, and what became of reading it.

    `blocks()` does not raise on damaged data: it ends, and `damage` says why in a few words. What was decoded before
    the damage has been yielded; the reader quarantines the piece that it was in the middle of.
    """

    path: str
    """Path relative to the corpus root, with `/`."""
    url: str
    """Where fsspec opens it."""
    start: int = 0
    """First byte of the slice; only uncompressed files are sliced."""
    end: int | None = None
    """Lines that begin after `start` and not after this byte belong to the slice. None: all to the end of the file."""
    progress: Callable[[int], None] = lambda n_bytes: None
    """Called with the number of raw bytes just read."""
    damage: str | None = None
    decoded_bytes: int = 0
    """Bytes that `blocks` has yielded so far."""

    @property
    def whole(self) -> bool:
        """Whether this is all of the file."""
        return self.start == 0 and self.end is None

    def blocks(self) -> Iterator[bytes]:
        """Decompressed blocks from `start` to the end of the file, none of them empty or above `BLOCK_BYTES`."""
        with fsspec.open(self.url, "rb") as file:
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
        while block := file.read(BLOCK_BYTES):
            self.progress(len(block))
            yield block
