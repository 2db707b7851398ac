"""Raw files, and how they are cut into tasks: by input bytes alone, never by worker count."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from corpora.catalog import Input
from corpora.errors import ConfigError
from corpora.readers import reader
from corpora.readers.decompress import compression
from corpora.readers.source import version
from corpora.stores import open_url

WILD = re.compile(r"[*?[]")
PART_BYTES = 64 << 20  # raw bytes of one task: a list of small files, or a slice of a large one


@dataclass(frozen=True, order=True)
class RawFile:
    """A raw file as it was listed."""

    path: str
    """Relative to the corpus root, with `/`."""
    url: str
    """Where `stores.open_url` finds it."""
    size: int
    """Bytes."""
    version: str
    """See `readers.source.version`: another one means another content. For receipts only."""


@dataclass(frozen=True)
class Piece:
    """What a task reads of one raw file: all of it, or the lines that begin after `start` and not after `end`."""

    path: str
    size: int
    start: int
    end: int


def find(root: str, pattern: str) -> list[RawFile]:
    """The files under a root that match a glob, in order of path; a folder that matches gives all that it holds.

    A pattern that is itself the name of a file or a folder means that one. Links are followed. Hidden files (a name
    that begins with a dot) are not raw files. Raises ConfigError for a link that leads nowhere or in a circle, and for
    a name that is not UTF-8: no ledger could hold it.
    """
    fs, base = open_url(root)
    target = os.path.normpath(f"{base.rstrip('/')}/{pattern}")
    literal = fs.exists(target)
    if literal:
        listed = {target: fs.info(target)}
    else:
        folder = os.path.normpath(base + "/.." * pattern.split("/").count(".."))
        listed = fs.glob(WILD.sub(r"[\g<0>]", folder) + target[len(folder) :], detail=True)
    files: dict[str, RawFile] = {}
    while listed:
        path, info = listed.popitem()
        relative = os.path.relpath(path, base)
        if any(name.startswith(".") and name not in (".", "..") for name in relative.split("/")):
            continue
        if info.get("islink"):
            info = _followed(fs, path) | {"islink": True}
        if info["type"] == "directory" and (literal or info.get("islink") or not pattern.endswith("**")):
            listed |= fs.find(path, detail=True)
        if info["type"] != "file" or path.endswith("/"):  # buckets mark folders by empty objects of such names
            continue
        try:
            relative.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"the name of the raw file {relative!r} is not UTF-8; rename it") from None
        files[path] = RawFile(relative, fs.unstrip_protocol(path), info["size"], version(info))
    return sorted(files.values())


def _followed(fs: AbstractFileSystem, path: str) -> dict[str, Any]:
    """What a link of a local disk leads to."""
    try:
        info = fs.info(path)
    except OSError as error:
        raise ConfigError(f"the raw file {path} is a link that leads nowhere: {error.strerror}") from None
    if os.path.realpath(path) in map(os.path.realpath, Path(path).parents):
        raise ConfigError(f"the raw folder {path} is a link to a folder that it is in")
    return info


def fixed_prefix(pattern: str) -> tuple[str, str]:
    """A glob as (folder before its first wildcard, the rest), a file as (folder, name), a folder as (folder, `**`)."""
    fs, path = open_url(pattern)
    if fs.isdir(path):
        return pattern.rstrip("/") or "/", "**"
    folders = pattern.rstrip("/").split("/")
    wild = next((i for i, name in enumerate(folders) if WILD.search(name)), None)
    last = len(folders) - 1 if wild is None or fs.isfile(path) else wild
    return "/".join(folders[:last]) or ("/" if pattern.startswith("/") else "."), "/".join(folders[last:])


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
            n = -(-file.size // part_bytes)  # slices of equal length: the last is no remnant
            borders = [file.size * i // n for i in range(n + 1)]
            yield from ([Piece(file.path, file.size, start, end)] for start, end in pairwise(borders))
            continue
        group.append(Piece(file.path, file.size, 0, file.size))
        grouped += file.size
    if group:
        yield group


def _splittable(file: RawFile, entry: Input) -> bool:
    if not getattr(reader(entry.format), "SPLITTABLE", False):
        return False
    fs, path = open_url(file.url)
    with fs.open(path, "rb") as raw:
        return compression(raw.read(4)) is None
