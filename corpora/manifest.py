"""A manifest as files: a root, and pages of its long lists, so that an append writes a page and not the whole.

A list is cut where the hashes of its entries say so, as in a prolly tree: the same manifest is the same files whatever
was in force before, and an entry that comes, goes or changes touches the page that it is in. A short list stays in the
root. A page is compressed and named by the bytes that it unpacks to, the root by what it holds, pages' names and all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zstandard

from corpora.config import canonical, digest

PAGE_ENTRIES = 32  # of a page, on average
PAGE_BYTES = 64 << 10  # at which a page ends at the latest

Pages = Mapping[str, bytes]  # file name -> content


def split(manifest: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The root of a manifest, and its pages by file name."""
    root, pages = dict(manifest), {}
    for key, value in manifest.items():
        if isinstance(value, list) and len(cut := list(_pages(value))) > 1:
            root[key] = {"pages": [_name(page) for page in cut]}
            pages |= {_name(page): zstandard.compress(page) for page in cut}
    return root, pages


def joined(root: Mapping[str, Any], pages: Pages) -> dict[str, Any]:
    """The manifest of a root and its pages. Raises ValueError, naming it, for a page that is not what its name says."""
    return {
        key: [entry for name in value["pages"] for entry in _entries(name, pages[name])] if _paged(value) else value
        for key, value in root.items()
    }


def pages_of(root: Mapping[str, Any]) -> list[str]:
    """File names of a root's pages, in order."""
    return [name for value in root.values() if _paged(value) for name in value["pages"]]


def check(name: str, root: Mapping[str, Any]) -> None:
    """Raise ValueError where the root of that file name is not what the name says."""
    if name != name_of(name.rpartition("-")[0], root):
        raise ValueError(f"{name} is not named by its content: it was changed")


def name_of(stage: str, root: Mapping[str, Any]) -> str:
    """File name of a root."""
    return f"{stage}-{digest(root)}.json"


def _paged(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"pages"} and isinstance(value["pages"], list)


def _pages(entries: Sequence[Any]) -> Iterator[bytes]:
    """JSON lists, an entry a line. A page ends after an entry whose hash says so, or when it is long."""
    page: list[bytes] = []
    size = 0
    for entry in map(canonical, entries):
        page.append(entry)
        size += len(entry)
        if size >= PAGE_BYTES or int.from_bytes(hashlib.sha256(entry).digest()[:4]) % PAGE_ENTRIES == 0:
            yield b"[\n" + b",\n".join(page) + b"\n]\n"
            page, size = [], 0
    if page:
        yield b"[\n" + b",\n".join(page) + b"\n]\n"


def _entries(name: str, content: bytes) -> list[Any]:
    try:
        page = zstandard.decompress(content)
    except (zstandard.ZstdError, MemoryError):  # which damage in its header makes it ask for
        page = b""
    if name != _name(page):
        raise ValueError(f"{name} is not named by its content: it was changed")
    return json.loads(page)


def _name(page: bytes) -> str:
    return f"page-{hashlib.sha256(page).hexdigest()}.json.zst"
