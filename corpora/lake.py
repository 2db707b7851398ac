"""The lake: rooms under one path or URL, and what is in force in all of them at one moment.

All I/O goes through fsspec.
"""

from __future__ import annotations

import json
import os
import shlex
from hashlib import sha256
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from corpora import stores
from corpora.errors import ConfigError, DamagedError, LakeError
from corpora.room import Room

DUPLICATES, TOKENIZER, PINS = "duplicates", "tokenizer", "pins"  # rooms that are not corpora
UNUSABLE = "?\\"  # in paths: DuckDB can write no catalog there
LOOKS = 100  # at what is in force, until two after each other see the same


class Lake:
    """A lake at a path or URL. It need not be there yet. Raises ConfigError where no lake can be."""

    def __init__(self, url: str | os.PathLike) -> None:
        self.fs, self.root = stores.open_url(os.fspath(url))
        self.local = isinstance(self.fs, LocalFileSystem)
        self.url = self.root if self.local else self.fs.unstrip_protocol(self.root)
        if bad := [character for character in self.url if character in UNUSABLE]:
            raise ConfigError(f"no lake can lie at {self.url}: DuckDB cannot write where a path has {bad[0]} in it")
        self.manifests: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}  # what `Room.in_force` read last
        self.seen: dict[str, dict[str, str]] | None = None  # what is in force, of a lake `at_once`

    def __reduce__(self):
        return Lake, (self.url,)

    @property
    def option(self) -> str:
        """The option of the command line that names this lake, as a shell takes it."""
        return f"--lake {shlex.quote(self.url)}"

    def at_once(self) -> Lake:
        """The lake as it is now, for one who reads several rooms: what is put in force later he does not see.

        Raises LakeError where it changes all the time. What it was may go by `assay gc` before it is read.
        """
        if self.seen is not None:
            return self
        last = None
        for _ in range(LOOKS):  # two equal looks: all that was seen was in force at one moment, between the two
            seen = {name: current for name in self._rooms() if (current := self.room(name).current())}
            if seen == last:
                found = Lake(self.url)
                found.seen, found.manifests = seen, self.manifests  # which are named by their content
                return found
            last = seen
        raise LakeError(f"{self.url} changes faster than it can be read: run the same command again")

    def room(self, name: str) -> Room:
        """The room of that name, which need not be there yet."""
        return Room(self, name)

    def corpora(self) -> list[str]:
        """Names of the corpora that have something in force."""
        return [n for n in self._rooms() if n not in (DUPLICATES, TOKENIZER, PINS) and self.room(n).current()]

    def _rooms(self) -> list[str]:
        """Names of all folders of the lake; of those that have something in force where it is one `at_once`."""
        if self.seen is not None:
            return sorted(self.seen)
        if self.fs.isfile(self.root):
            raise LakeError(f"{self.url} is a file, and a lake is a folder: name another --lake")
        return sorted(Path(entry["name"]).name for entry in self.ls(self.root) if entry["type"] == "directory")

    @property
    def sample(self) -> bool | None:
        """Whether the lake holds the embedded sample; None while it holds nothing."""
        now = self.at_once()
        marks = {bool(now.room(name).manifest("ingest").get("sample")) for name in now.corpora()}
        return marks.pop() if len(marks) == 1 else None

    def tokenizer_json(self, fingerprint: str) -> bytes:
        """The canonical `tokenizer.json` of that fingerprint, which is the sha256 of its bytes."""
        path = f"{self.root}/{TOKENIZER}/tokenizer-{fingerprint}.json"
        try:
            found = self.fs.cat_file(path, start=0)
        except FileNotFoundError:
            raise LakeError(f"the tokenizer {path} is gone; `assay tokenize --tokenizer FILE` sets it again") from None
        if sha256(found).hexdigest() != fingerprint:
            raise DamagedError(f"the tokenizer {path} was changed; `assay tokenize --tokenizer FILE` sets it again")
        return found

    def read_json(self, path: str) -> dict[str, Any] | None:
        """The JSON object at a path of the lake, or None where there is no file. Raises DamagedError."""
        try:
            found = json.loads(self.fs.cat_file(f"{self.root}/{path}", start=0))  # `start`: S3 is not asked the size
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        raise DamagedError(f"{self.url}/{path} is damaged: it holds no JSON; {self.remedy(path)}")

    def remedy(self, path: str) -> str:
        """What to do about a damaged file at a path of the lake."""
        room, _, name = path.partition("/")
        if name == "run.json":
            return f"delete it, and say `assay ingest {room} --raw` where its raw files are"
        if room == PINS:
            return "launch its plan again, or delete it if that run is over"
        more = f" --tokenizer {shlex.quote(self.root)}/{TOKENIZER}/tokenizer-*.json" if room == TOKENIZER else ""
        return (
            f"delete {self.root}/{room}/current and run `assay tokenize --all{more} {self.option}`, "
            "which makes it anew from what is whole"
        )

    def ls(self, folder: str) -> list[dict[str, Any]]:
        """What a folder holds; nothing where it is not there."""
        try:
            return self.fs.ls(folder, detail=True)
        except FileNotFoundError:
            return []
