"""A source: blocks, damage told instead of raised, progress."""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from corpora.readers.decompress import BLOCK_BYTES
from corpora.readers.source import ChangedError, Source, version


def source_of(path, data: bytes, **options) -> Source:
    path.write_bytes(data)
    return Source(path.name, f"file://{path}", **options)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_blocks_are_the_decoded_file(tmp_path, pack):
    data = b"0123456789" * (BLOCK_BYTES // 4)
    read: list[int] = []
    source = source_of(tmp_path / "a", pack(data), progress=read.append)
    blocks = list(source.blocks())
    assert b"".join(blocks) == data
    assert all(0 < len(block) <= BLOCK_BYTES for block in blocks)
    assert (source.decoded_bytes, source.damage) == (len(data), None)
    assert sum(read) == len(pack(data))


def test_damage_is_told(tmp_path):
    source = source_of(tmp_path / "a", gzip.compress(b"text" * 100)[:-8])
    assert b"".join(source.blocks()) == b"text" * 100
    assert (source.damage, source.decoded_bytes) == ("truncated gzip stream", 400)


def test_a_slice_is_read_to_the_end_of_the_file_and_never_decompressed(tmp_path):
    inside = gzip.compress(b"x")
    source = source_of(tmp_path / "a", b"0123" + inside, start=4, end=6)
    assert b"".join(source.blocks()) == inside
    assert source.damage is None


def test_an_empty_file_has_no_blocks(tmp_path):
    source = source_of(tmp_path / "a", b"")
    assert (list(source.blocks()), source.damage, source.decoded_bytes) == ([], None, 0)


@pytest.mark.parametrize(("limit", "found", "damage"), [(8, b"12345678", None), (7, b"1234567", "larger than 7 bytes")])
def test_read_stops_at_its_limit(tmp_path, limit, found, damage):
    source = source_of(tmp_path / "a", b"12345678")
    assert (source.read(limit), source.damage) == (found, damage)


@pytest.mark.parametrize("name", ["with space.txt", "[1]*?.txt", "ünï'c\"ode#&%41.txt", "~tilde"])
def test_names_are_taken_literally(tmp_path, name):
    (tmp_path / "1.txt").write_bytes(b"another")
    assert b"".join(source_of(tmp_path / name, b"this").blocks()) == b"this"


def test_files_in_buckets(tmp_path):
    url = f"memory://{uuid.uuid4().hex}/a.gz"
    with fsspec.open(url, "wb") as file:
        file.write(gzip.compress(b"text"))
    assert b"".join(Source("a.gz", url).blocks()) == b"text"


def test_a_file_that_is_gone_is_an_error_not_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(Source("a", str(tmp_path / "a")).blocks())


def grow(file: Path) -> None:
    with file.open("ab") as more:
        more.write(b"more")


def shrink(file: Path) -> None:
    os.truncate(file, 3 << 20)


def rewrite(file: Path) -> None:
    with file.open("r+b") as same:
        same.write(b"other")


def replace(file: Path) -> None:
    aside = file.with_name("aside")
    aside.write_bytes(bytes(5 << 20))
    aside.replace(file)


def listed(file: Path) -> Source:
    """A source of 5 MB that was listed long ago, at times that a change will not meet."""
    file.write_bytes(b"x" * (5 << 20))
    os.utime(file, (1, 1))
    info = fsspec.filesystem("file").info(str(file))
    return Source("a", str(file), listed=(info["size"], version(info)))


@pytest.mark.parametrize("change", [grow, shrink, rewrite, replace])
def test_a_file_that_changed_since_it_was_listed_is_not_read(tmp_path: Path, change: Callable[[Path], None]) -> None:
    source = listed(tmp_path / "a")
    change(tmp_path / "a")
    with pytest.raises(ChangedError, match="the raw file a changed while it was read"):
        next(source.blocks())


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_read_is_not_read_on(tmp_path: Path, change: Callable[[Path], None]) -> None:
    blocks = listed(tmp_path / "a").blocks()
    next(blocks)
    change(tmp_path / "a")
    with pytest.raises(ChangedError):
        next(blocks)


@pytest.mark.parametrize("change", [replace, Path.unlink])
def test_a_file_that_was_opened_is_read_to_its_end_whatever_takes_its_name(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    blocks = listed(tmp_path / "a").blocks()
    first = next(blocks)
    change(tmp_path / "a")
    assert first + b"".join(blocks) == b"x" * (5 << 20)
