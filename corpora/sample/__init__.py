"""Writes the embedded sample: all eight corpora in their raw formats, small, invented, and known to the last document.

The texts come from grammars of our own, so the sample may be shipped and shown. It has what real corpora have: copies
inside a corpus and across corpora, near duplicates, boilerplate, junk, other languages, broken records, damaged files.
`PLANTED` says how many of each, counted from the pieces that are written, so that a test can assert the exact ledger.

Each corpus is a pure function of fixed seeds: it does not depend on which others are written.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from corpora.sample.planted import File, Planted, count

CORPORA = ("filings", "press", "inhouse", "news", "web", "wikipedia", "pile", "c4")
"""In order of priority: of equal texts, that of the first corpus is kept."""
VERSION = "1"
"""Raised whenever a corpus of the sample gets other bytes."""

_MARKER = ".complete"

__all__ = ["CORPORA", "PLANTED", "VERSION", "Planted", "write_sample"]


def write_sample(root: Path, corpora: Iterable[str] = CORPORA) -> None:
    """Write the sample's raw files to `root/<corpus>/`. A corpus of this version that is there already is left alone.

    A corpus is written aside and appears whole or not at all. Raises ValueError for a corpus that the sample does not
    have, and FileExistsError for a folder with files that are not the sample's: it would have to delete them.
    """
    corpora = list(corpora)
    if unknown := set(corpora) - set(CORPORA):
        raise ValueError(f"the sample has no corpus {', '.join(sorted(unknown))}; it has {', '.join(CORPORA)}")
    root.mkdir(parents=True, exist_ok=True)
    for corpus in corpora:
        folder = root / corpus
        marker = folder / _MARKER
        if marker.exists() and marker.read_text() == VERSION:
            continue
        if folder.exists() and not marker.exists() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} holds files that are not the sample's; write the sample to another folder")
        with TemporaryDirectory(dir=root, prefix=f".{corpus}-") as aside:
            _write(Path(aside, "new"), _files(corpus))
            if folder.exists():
                folder.rename(Path(aside, "old"))
            Path(aside, "new").rename(folder)


def _write(folder: Path, files: Iterable[File]) -> None:
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content())
    (folder / _MARKER).write_text(VERSION)


def _files(corpus: str) -> list[File]:
    return _module(corpus).files()


def _module(corpus: str) -> ModuleType:
    return importlib.import_module(f"corpora.sample.{corpus}")


@cache
def _planted(corpus: str) -> Planted:
    exhibits = _module(corpus).exhibits() if corpus == "press" else []
    return count([*_files(corpus), *exhibits])


class _Truth(Mapping[str, Planted]):
    """Counts a corpus when it is first asked for."""

    def __getitem__(self, corpus: str) -> Planted:
        if corpus not in CORPORA:
            raise KeyError(corpus)
        return _planted(corpus)

    def __iter__(self) -> Iterator[str]:
        return iter(CORPORA)

    def __len__(self) -> int:
        return len(CORPORA)


PLANTED: Mapping[str, Planted] = _Truth()
"""What is planted in each corpus. `press` reads its own files and those of `filings`, and is counted with both."""
