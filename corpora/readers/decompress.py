"""gzip, Zstandard and bzip2 as a stream of blocks in bounded memory, with all that can be decoded before any damage.

Compression is recognised by content, not by name. Several members (gzip), frames (Zstandard) or streams (bzip2) one
after the other are one file, as the formats' own tools have it; zero padding after the last one is legal.
"""

from __future__ import annotations

import bz2
import contextlib
import zlib
from collections.abc import Iterator

import zstandard

BLOCK_BYTES = 1 << 20  # decoded bytes in one block, at most
BZIP2_STEP = 4 << 10  # decoded bytes at a time: bz2 gives none of a step in which it finds damage
ZSTD_STEP = 4 << 10  # compressed bytes at a time: 4 KiB of Zstandard expand to 128 MiB at the worst
ZSTD_MAX_WINDOW = 1 << 31  # what `zstd --long=31` writes

MAGIC = {
    "gzip": (b"\x1f\x8b",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))),  # skippable frames
    "bzip2": tuple(b"BZh%d" % level for level in range(1, 10)),
}
MAGIC_BYTES = 4


class Damaged(Exception):
    """A compressed stream that cannot be decoded any further; the message says why in a few words."""


def compression(head: bytes) -> str | None:
    """The compression that the first bytes of a file show, or None."""
    return next((name for name, magics in MAGIC.items() if head.startswith(magics)), None)


def decompressed(raw: Iterator[bytes]) -> Iterator[bytes]:
    """Decoded blocks of a file given as raw blocks, none of them empty. Raises `Damaged` after the last good block."""
    first = b""
    while len(first) < MAGIC_BYTES and (block := next(raw, None)):
        first += block
    name = compression(first)
    if name is None:
        if first:
            yield first
        yield from raw
        return
    member: _Gzip | _Bzip2 | _Zstd | None = None
    pending = b""
    for block in _chain(first, raw):
        pending += block
        while True:
            if member is None:
                pending = pending.lstrip(b"\0")
                if not pending:
                    break
                if not _may_begin(name, pending):
                    raise Damaged(f"garbage after the {name} stream")
                member = _MEMBERS[name]()
            yield from member.decode(pending)
            pending = b""
            if not member.finished:
                break
            member, pending = None, member.rest
    if member is not None:
        raise Damaged(f"truncated {name} stream")


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _may_begin(name: str, head: bytes) -> bool:
    return any(head.startswith(magic) or magic.startswith(head) for magic in MAGIC[name])


class _Gzip:
    """One gzip member. What precedes a wrong checksum is given out: zlib alone would swallow it with the error."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)
        self.finished, self.rest = False, b""

    def decode(self, pending: bytes) -> Iterator[bytes]:
        size = BLOCK_BYTES
        while True:
            before = self._decoder.copy()
            try:
                data = self._decoder.decompress(pending, size)
            except zlib.error as error:
                self._decoder, size = before, size // 2
                if not size:
                    yield from self._up_to_damage(pending)
                    raise Damaged("damaged gzip stream") from error
                continue
            if data:
                yield data
            if self._decoder.eof:
                self.finished, self.rest = True, self._decoder.unused_data
                return
            pending = self._decoder.unconsumed_tail
            if not pending and len(data) < size:
                return

    def _up_to_damage(self, pending: bytes) -> Iterator[bytes]:
        """What the bytes before the damaged one decode to: a wrong checksum comes some bytes after all of the data."""
        with contextlib.suppress(zlib.error):
            for byte in pending:
                if data := self._decoder.decompress(bytes([byte])):
                    yield data


class _Bzip2:
    """One bzip2 stream."""

    def __init__(self) -> None:
        self._decoder = bz2.BZ2Decompressor()
        self.finished, self.rest = False, b""

    def decode(self, pending: bytes) -> Iterator[bytes]:
        try:
            while not self._decoder.eof:
                data = self._decoder.decompress(pending, BZIP2_STEP)
                pending = b""
                if data:
                    yield data
                if self._decoder.needs_input:
                    return
        except OSError as error:
            raise Damaged("damaged bzip2 stream") from error
        self.finished, self.rest = True, self._decoder.unused_data


class _Zstd:
    """One Zstandard frame."""

    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW).decompressobj()
        self.finished, self.rest = False, b""

    def decode(self, pending: bytes) -> Iterator[bytes]:
        for start in range(0, len(pending), ZSTD_STEP):
            try:
                data = self._decoder.decompress(pending[start : start + ZSTD_STEP])
            except zstandard.ZstdError as error:
                raise Damaged("damaged zstd stream") from error
            for cut in range(0, len(data), BLOCK_BYTES):
                yield data[cut : cut + BLOCK_BYTES]
            if self._decoder.eof:
                self.finished, self.rest = True, self._decoder.unused_data + pending[start + ZSTD_STEP :]
                return


_MEMBERS = {"gzip": _Gzip, "bzip2": _Bzip2, "zstd": _Zstd}
