"""Raw files, and how they are cut into tasks: by input bytes alone, never by worker count."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import fsspec

from corpora.catalog import Input
from corpora.readers import reader
from corpora.readers.decompress import compression

PART_BYTES = 64 << 20  # raw bytes of one task: a list of small files, or a slice of a large one


@dataclass(frozen=True, order=True)
class RawFile:
    """A raw file as it was listed."""

    path: str
    """Relative to the corpus root, with `/`."""
    url: str
    """Where fsspec opens it."""
    size: int
    """Bytes."""
    version: str
    """Time of the last change, or ETag: another one means another content. For receipts only."""


@dataclass(frozen=True)
class Piece:
    """What a task reads of one raw file: all of it, or the lines that begin after `start` and not after `end`."""

    path: str
    size: int
    start: int
    end: int


def find(root: str, pattern: str) -> list[RawFile]:
    """The files under a root that match a glob, in order of path; a folder that matches gives all that it holds.

    Hidden files (a name that begins with a dot) are not raw files.
    """
    fs, base = fsspec.core.url_to_fs(root)
    target = os.path.normpath(f"{base}/{pattern}")
    found = {target: fs.info(target)} if fs.isfile(target) else fs.glob(target, detail=True)
    if not pattern.endswith("**"):
        for folder in [path for path, info in found.items() if info["type"] == "directory"]:
            found |= fs.find(folder, detail=True)
    files = []
    for path, info in found.items():
        relative = os.path.relpath(path, base)
        if info["type"] != "file" or any(name.startswith(".") and name != ".." for name in relative.split("/")):
            continue
        version = info.get("ETag") or info.get("mtime") or info.get("LastModified") or info.get("created") or ""
        files.append(RawFile(relative, fs.unstrip_protocol(path), info["size"], str(version)))
    return sorted(files)


def fixed_prefix(pattern: str) -> tuple[str, str]:
    """A glob as (the folder before its first wildcard, the rest); a folder as (the folder, `**`)."""
    folders = pattern.rstrip("/").split("/")
    wild = next((i for i, name in enumerate(folders) if any(c in name for c in "*?[")), None)
    if wild is not None:
        return "/".join(folders[:wild]) or ("/" if pattern.startswith("/") else "."), "/".join(folders[wild:])
    fs, path = fsspec.core.url_to_fs(pattern)
    if fs.isdir(path):
        return pattern.rstrip("/"), "**"
    return "/".join(folders[:-1]) or ("/" if pattern.startswith("/") else "."), folders[-1]


def cut(files: Sequence[RawFile], entry: Input, part_bytes: int) -> Iterable[list[Piece]]:
    """Group files, in order of path, into lists of pieces of at most `part_bytes` raw bytes.

    A larger file is a task of its own, or several slices where its reader can take slices of it.
    """
    group: list[Piece] = []
    grouped = 0
    for file in files:
        if group and grouped + file.size > part_bytes:
            yield group
            group, grouped = [], 0
        if file.size > part_bytes and _splittable(file, entry):
            for start in range(0, file.size, part_bytes):
                yield [Piece(file.path, file.size, start, min(start + part_bytes, file.size))]
            continue
        group.append(Piece(file.path, file.size, 0, file.size))
        grouped += file.size
    if group:
        yield group


def _splittable(file: RawFile, entry: Input) -> bool:
    if not getattr(reader(entry.format), "SPLITTABLE", False):
        return False
    with fsspec.open(file.url, "rb") as raw:
        return compression(raw.read(4)) is None
