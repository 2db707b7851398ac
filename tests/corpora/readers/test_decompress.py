"""Compressed streams: what any tool would decode, cut anywhere, damaged anywhere."""

from __future__ import annotations

import bz2
import gzip
import random
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.readers.decompress import BLOCK_BYTES, Damaged, compression, decompressed

SKIPPABLE = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"aside"


def zstd(data: bytes, **options) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


COMPRESS = {"gzip": lambda data: gzip.compress(data, 1), "zstd": zstd, "bzip2": lambda data: bz2.compress(data, 1)}
EACH = pytest.mark.parametrize("name", COMPRESS)
CUTS = st.lists(st.integers(1, 300), max_size=20)


def cut(data: bytes, sizes: list[int]):
    """The data in blocks of these sizes, and the rest in one."""
    start = 0
    for size in sizes:
        if start < len(data):
            yield data[start : start + size]
        start += size
    if start < len(data):
        yield data[start:]


def decode(data: bytes, sizes: list[int] = ()) -> tuple[bytes, str | None]:
    """What is decoded, and the damage."""
    found = bytearray()
    try:
        for block in decompressed(cut(data, sizes)):
            assert 0 < len(block) <= max(BLOCK_BYTES, len(data))
            found += block
    except Damaged as damaged:
        return bytes(found), str(damaged)
    return bytes(found), None


def noise(n: int, seed: int = 0) -> bytes:
    """Bytes that compress to about half."""
    return bytes(random.Random(seed).choices(range(16), k=n))


@EACH
@settings(max_examples=60)
@given(members=st.lists(st.binary(max_size=400), min_size=1, max_size=4), sizes=CUTS, padding=st.integers(0, 600))
def test_members_after_each_other_are_one_file(name, members, sizes, padding):
    data = b"".join(COMPRESS[name](member) for member in members)
    assert decode(data + b"\0" * padding, sizes) == (b"".join(members), None)


@given(data=st.binary(max_size=200), sizes=CUTS)
def test_what_is_not_compressed_passes(data, sizes):
    if compression(data) is None:
        assert decode(data, sizes) == (data, None)


@pytest.mark.parametrize("data", [b"", b"B", b"BZ", b"BZh", b"BZhx is text", b"\x1f", b"\x28\xb5\x2f", b"Q*M text"])
def test_what_only_looks_compressed_passes(data):
    assert decode(data) == (data, None)
    assert decode(data, [1] * len(data)) == (data, None)


@EACH
@settings(max_examples=60)
@given(data=st.data())
def test_a_truncated_stream_gives_what_was_decoded(name, data):
    text = noise(data.draw(st.integers(0, 5000)))
    packed = COMPRESS[name](text)
    length = data.draw(st.integers(4, len(packed) - 1))
    found, damage = decode(packed[:length], data.draw(CUTS))
    assert text.startswith(found)
    assert damage == f"truncated {name} stream"


@EACH
@pytest.mark.parametrize("sizes", [[], [1] * 5000])
def test_garbage_after_the_stream(name, sizes):
    packed = COMPRESS[name](b"text")
    assert decode(packed + b"\0\0garbage", sizes) == (b"text", f"garbage after the {name} stream")


@settings(max_examples=60)
@given(length=st.integers(0, 3000), sizes=CUTS, repeat=st.booleans())
def test_gzip_with_a_wrong_checksum_gives_every_byte(length, sizes, repeat):
    text = b"ab" * length if repeat else noise(length)
    packed = bytearray(gzip.compress(text))
    packed[-8] ^= 1
    assert decode(bytes(packed), sizes) == (text, "damaged gzip stream")


def test_large_gzip_with_a_wrong_checksum_gives_every_byte():
    text = noise(3 * BLOCK_BYTES + 17)
    packed = bytearray(gzip.compress(text, 1))
    packed[-5] ^= 0x80
    assert decode(bytes(packed), [BLOCK_BYTES]) == (text, "damaged gzip stream")


def test_gzip_gives_all_before_an_impossible_block():
    text = noise(100_000)
    encoder = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed = encoder.compress(text) + encoder.flush(zlib.Z_FULL_FLUSH) + b"\x07" * 50  # block type 3: there is none
    assert decode(packed) == (text, "damaged gzip stream")


def test_bzip2_gives_all_but_a_little_before_a_damaged_block():
    text = noise(1_000_000)
    packed = bytearray(bz2.compress(text, 1))
    last = packed.rfind(b"1AY&SY") if packed.count(b"1AY&SY") > 1 else len(packed) * 9 // 10
    packed[max(last, len(packed) // 2) + 20] ^= 0xFF
    found, damage = decode(bytes(packed))
    assert text.startswith(found)
    assert len(found) > 300_000
    assert damage == "damaged bzip2 stream"


def test_zstd_gives_the_blocks_before_a_wrong_checksum():
    text = noise(1_000_000)
    packed = bytearray(zstd(text, write_checksum=True))
    packed[-1] ^= 1
    found, damage = decode(bytes(packed))
    # What the last compressed 4 KiB decode to is lost: the library gives nothing with its error.
    assert text.startswith(found)
    assert len(found) >= len(text) - 2 * (128 << 10)
    assert damage == "damaged zstd stream"


@given(sizes=CUTS)
def test_skippable_frames_are_passed_over(sizes):
    for data in (SKIPPABLE + zstd(b"text"), zstd(b"te") + SKIPPABLE + zstd(b"xt") + SKIPPABLE):
        assert decode(data, sizes) == (b"text", None)


@pytest.mark.parametrize("low", range(0x50, 0x60))
def test_every_skippable_magic_is_known(low):
    assert compression(bytes([low]) + b"\x2a\x4d\x18") == "zstd"


def test_frames_without_a_content_size():
    encoder = zstandard.ZstdCompressor().compressobj()
    assert decode(encoder.compress(b"text" * 1000) + encoder.flush()) == (b"text" * 1000, None)


@EACH
def test_a_bomb_comes_in_small_blocks(name):
    bomb = COMPRESS[name](bytes(64 << 20))
    tracemalloc.start()
    total = sum(len(block) for block in decompressed(iter([bomb])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 20
    # 4 KiB of Zstandard can be 128 MiB: here it is all one step.
    assert peak < (160 << 20 if name == "zstd" else 16 << 20)


GOOD = {
    "gz/bad_crc.json.gz": (50, "damaged gzip stream"),
    "gz/trailing_garbage.jsonl.gz": (50, "garbage after the gzip stream"),
    "gz/trailing_zeros.jsonl.gz": (50, None),
    "gz/multi_member.jsonl.gz": (56, None),
    "gz/member_split_in_line.jsonl.gz": (50, None),
    "gz/not_gzip.jsonl.gz": (50, None),
    "gz/zero_bytes.jsonl.gz": (0, None),
    "gz/empty_payload.jsonl.gz": (0, None),
    "zst/multi_frame.jsonl.zst": (40, None),
    "zst/window_2GiB.jsonl.zst": (50, None),
    "zst/no_content_size.jsonl.zst": (50, None),
}


@pytest.mark.parametrize("file", GOOD)
def test_nasty_files_give_all_their_lines(shared_data, file):
    found, damage = decode((shared_data / "nasty" / file).read_bytes())
    assert (found.count(b"\n"), damage) == GOOD[file]


# `zst/truncated.jsonl.zst` is cut within its first block of 128 KiB: not a byte of it can be decoded.
@pytest.mark.parametrize("file", ["gz/truncated.jsonl.gz", "gz/flipped_byte.json.gz"])
def test_nasty_files_give_the_lines_before_the_damage(shared_data, file):
    found, damage = decode((shared_data / "nasty" / file).read_bytes())
    assert damage
    assert found.count(b"\n") > 10
