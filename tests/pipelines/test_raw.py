"""Raw files: which a pattern means, and how they are cut into tasks by bytes alone."""

from __future__ import annotations

import gzip
import itertools
import os
import uuid
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.catalog import Input
from corpora.errors import ConfigError
from pipelines.raw import Piece, RawFile, cut, find, fixed_prefix

JSONL, EDGAR = Input("jsonl"), Input("edgar")


@pytest.fixture
def root(tmp_path) -> Path:
    """A corpus root with files of many names, and another corpus beside it."""
    for name in (
        "news/a.jsonl",
        "news/b.jsonl.gz",
        "news/2024/c.jsonl",
        "news/2024/q1/d.txt",
        "news/with space & ünï.jsonl",
        "news/[1]*.jsonl",
        "news/1x.jsonl",
        "news/[dir]/e.jsonl",
        "news/d/decoy.jsonl",
        "news/.hidden.jsonl",
        "news/.git/f.jsonl",
        "news/2024/.tmp/g.jsonl",
        "filings/x/h.txt",
        "filings/.i.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "news"


def paths(root: Path | str, pattern: str) -> list[str]:
    return [file.path for file in find(str(root), pattern)]


VISIBLE = [
    "1x.jsonl",
    "2024/c.jsonl",
    "2024/q1/d.txt",
    "[1]*.jsonl",
    "[dir]/e.jsonl",
    "a.jsonl",
    "b.jsonl.gz",
    "d/decoy.jsonl",
    "with space & ünï.jsonl",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**", VISIBLE),
        ("*", VISIBLE),
        ("**/*", VISIBLE),
        (".", VISIBLE),
        ("*.jsonl", ["1x.jsonl", "[1]*.jsonl", "a.jsonl", "with space & ünï.jsonl"]),
        ("**/*.jsonl", [path for path in VISIBLE if path.endswith(".jsonl")]),
        ("2024", ["2024/c.jsonl", "2024/q1/d.txt"]),
        ("2024/", ["2024/c.jsonl", "2024/q1/d.txt"]),
        ("2024/**", ["2024/c.jsonl", "2024/q1/d.txt"]),
        ("20[0-9][0-9]", ["2024/c.jsonl", "2024/q1/d.txt"]),
        ("?.jsonl*", ["a.jsonl", "b.jsonl.gz"]),
        ("a.jsonl", ["a.jsonl"]),
        ("with space & ünï.jsonl", ["with space & ünï.jsonl"]),
        ("[1]*.jsonl", ["[1]*.jsonl"]),
        ("[dir]", ["[dir]/e.jsonl"]),
        ("[dir]/e.jsonl", ["[dir]/e.jsonl"]),
        ("../filings/**", ["../filings/x/h.txt"]),
        ("../filings", ["../filings/x/h.txt"]),
        ("../filings/x/h.txt", ["../filings/x/h.txt"]),
        (".hidden.jsonl", []),
        ("no such file", []),
        ("*.parquet", []),
    ],
)
def test_what_a_pattern_means(root, pattern, expected):
    assert paths(root, pattern) == expected


def test_a_raw_file_is_described(root):
    [file] = find(str(root), "with space & ünï.jsonl")
    assert file.size == len("news/with space & ünï.jsonl".encode())
    with fsspec.open(file.url) as opened:
        assert opened.read().decode() == "news/with space & ünï.jsonl"
    os.utime(root / file.path, (1, 1))
    assert find(str(root), file.path)[0].version != file.version


def test_a_root_that_is_relative_hidden_or_looks_like_a_glob(root, monkeypatch):
    for name in ("[x]*", ".data", "a b"):
        moved = root.parent / name / "news"
        moved.parent.mkdir()
        root.rename(moved)
        assert paths(moved, "**") == VISIBLE
        assert paths(moved, "*.gz") == ["b.jsonl.gz"]
        root = moved
    monkeypatch.chdir(root.parent)
    assert paths("news", "**") == VISIBLE


def test_links_are_followed(root):
    far = root.parent / "far"
    (far / "sub").mkdir(parents=True)
    (far / "x.jsonl").write_bytes(b"123")
    (far / "sub" / "y.jsonl").write_bytes(b"1")
    (root / "2024" / "linked.jsonl").symlink_to(far / "x.jsonl")
    (root / "2024" / "folder").symlink_to(far)
    expected = ["2024/c.jsonl", "2024/folder/sub/y.jsonl", "2024/folder/x.jsonl", "2024/linked.jsonl", "2024/q1/d.txt"]
    assert paths(root, "2024/**") == paths(root, "2024") == paths(root, "2024/*") == expected
    file = find(str(root), "2024/linked.jsonl")[0]
    os.utime(far / "x.jsonl", (1, 1))
    assert (file.size, find(str(root), "2024/linked.jsonl")[0].version) == (3, "1.0")


def test_links_that_lead_nowhere_or_in_a_circle_are_refused(root):
    (root / "dead").symlink_to(root / "nothing")
    with pytest.raises(ConfigError, match="dead is a link that leads nowhere"):
        find(str(root), "**")
    (root / "dead").unlink()
    (root / "2024" / "up").symlink_to(root)
    with pytest.raises(ConfigError, match="2024/up is a link to a folder that it is in"):
        find(str(root), "**")


def test_a_name_that_is_not_utf8_is_refused(root):
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"'caf\\udce9.txt' is not UTF-8; rename it"):
        find(str(root), "**")


def test_buckets():
    base = f"memory://{uuid.uuid4().hex}"
    fs = fsspec.filesystem("memory")
    for name in ("news/a.jsonl", "news/2024/[b].jsonl", "news/.c.jsonl", "filings/d.txt"):
        fs.pipe_file(f"{base}/{name}", b"x")
    assert paths(f"{base}/news", "**") == ["2024/[b].jsonl", "a.jsonl"]
    assert paths(f"{base}/news", "2024/[b].jsonl") == ["2024/[b].jsonl"]
    assert paths(f"{base}/news", "../filings/*") == ["../filings/d.txt"]
    with fsspec.open(find(f"{base}/news", "a*")[0].url) as file:
        assert file.read() == b"x"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{root}/*.jsonl", ("{root}", "*.jsonl")),
        ("{root}/20??/**", ("{root}", "20??/**")),
        ("{root}", ("{root}", "**")),
        ("{root}/", ("{root}", "**")),
        ("{root}/a.jsonl", ("{root}", "a.jsonl")),
        ("{root}/[1]*.jsonl", ("{root}", "[1]*.jsonl")),
        ("{root}/[dir]", ("{root}/[dir]", "**")),
        ("{root}/[dir]/e.jsonl", ("{root}/[dir]", "e.jsonl")),
        ("{root}/nothing", ("{root}", "nothing")),
        ("*.jsonl", (".", "*.jsonl")),
        ("a.jsonl", (".", "a.jsonl")),
        ("2024", ("2024", "**")),
        ("/", ("/", "**")),
        ("/*.jsonl", ("/", "*.jsonl")),
        ("memory://bucket/news/*.gz", ("memory://bucket/news", "*.gz")),
    ],
)
def test_the_fixed_part_of_a_pattern(root, monkeypatch, pattern, expected):
    monkeypatch.chdir(root)
    assert fixed_prefix(pattern.format(root=root)) == tuple(part.format(root=root) for part in expected)


def listed(sizes: list[int]) -> list[RawFile]:
    return [RawFile(f"{i:03}", f"memory://none/{i:03}", size, "") for i, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 30)), st.integers(1, 20))
def test_files_are_grouped_in_order_up_to_the_bytes_of_a_part(sizes, part_bytes):
    files = listed(sizes)
    groups = list(cut(files, EDGAR, part_bytes))
    pieces = [piece for group in groups for piece in group]
    assert pieces == [Piece(file.path, file.size, 0, file.size) for file in files]
    for group, following in itertools.pairwise(groups):
        size = sum(piece.size for piece in group)
        assert size <= part_bytes or len(group) == 1 or not any(piece.size for piece in group[1:])
        assert size + following[0].size > part_bytes
    assert all(groups)


@given(st.integers(1, 60), st.integers(1, 20))
def test_a_large_plain_file_is_cut_into_slices(size, part_bytes):
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/slices/big", b"x" * size)
    files = [RawFile("a", "memory://none", 1, ""), RawFile("b", "memory://slices/big", size, "")]
    groups = list(cut(files, JSONL, part_bytes))
    pieces = [piece for group in groups for piece in group if piece.path == "b"]
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == size
    assert all(0 < piece.end - piece.start <= part_bytes and piece.size == size for piece in pieces)
    assert all(len(group) == 1 for group in groups) or size + 1 <= part_bytes


def test_a_compressed_file_and_one_whose_reader_takes_no_slices_stay_whole():
    fs = fsspec.filesystem("memory")
    packed = gzip.compress(bytes(range(256)))
    fs.pipe_file("/whole/packed", packed)
    fs.pipe_file("/whole/plain", b"x" * 100)
    files = [RawFile(name, f"memory://whole/{name}", len(fs.cat(f"/whole/{name}")), "") for name in ("packed", "plain")]
    assert [piece.start for [piece] in cut(files, JSONL, 50)] == [0, 0, 50]
    assert [piece.end for [piece] in cut(files, EDGAR, 50)] == [len(packed), 100]
