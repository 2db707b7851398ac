"""Compression for the sample's files, without names or times in it, and the cut that leaves a known part readable.

The decoded bytes are the same everywhere; the compressed ones for the same release of zlib, bzip2 and Zstandard.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Sequence

import zstandard


def plain(raws: Sequence[bytes]) -> bytes:
    """The pieces one after the other."""
    return b"".join(raws)


def gzipped(raws: Sequence[bytes]) -> bytes:
    """One gzip member."""
    return gzip.compress(plain(raws), compresslevel=6, mtime=0)


def gzipped_and_cut(raws: Sequence[bytes]) -> bytes:
    """A gzip member that ends inside the last piece: all before it can be decoded, and the first half of it.

    A flush puts all that was written so far into the stream; the rest of the piece and the checksum never come.
    """
    *whole, cut = raws
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compressor.compress(plain(whole) + cut[: len(cut) // 2]) + compressor.flush(zlib.Z_FULL_FLUSH)


def zstandard_frame(raws: Sequence[bytes]) -> bytes:
    """One Zstandard frame."""
    return zstandard.ZstdCompressor(level=6).compress(plain(raws))


def bzip2_streams(*parts: bytes) -> bytes:
    """Each part as a bzip2 stream of its own, as in the multistream dumps of Wikipedia."""
    return b"".join(map(bz2.compress, parts))
