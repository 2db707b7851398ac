"""What lies in a lake and is in force nowhere: parts, manifests, receipts, tokenizers and spool files of the past.

What stays: all that the manifests in force list, and what launches have pinned. Keys and edges of deduplication are
listed by no manifest: they are made again from the signatures when a corpus changes. So is what an interrupted run has
done so far: a run that is to be gone on with is ended first.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from corpora.config import digest
from corpora.errors import LakeError
from corpora.lake import PINS, TOKENIZER, Lake
from corpora.manifest import pages_of
from corpora.part import listed
from corpora.room import Room

PIN_FORMAT = 1
HEX = "([0-9a-f]{64})"
PART, MANIFEST, RECEIPT, FINGERPRINT, NOTE = (
    re.compile(pattern)
    for pattern in (
        rf"[^/.]+/part-{HEX}\.(?:parquet|arrow)",
        rf"manifests/[^/]+-{HEX}\.json(?:\.zst)?",  # pages too
        rf"receipts/[^/]+/{HEX}\.json",
        rf"tokenizer-{HEX}\.json",
        rf"damaged/([^/]+)/part-{HEX}",
    )
)
SPOOL = ".tmp"
CHECK = 100  # deletions between two looks whether all rooms are still ours
MARKS = {".lock", "lock", "current", "documents", "receipts", SPOOL}  # a folder with one of them is a room


@dataclass(frozen=True)
class Garbage:
    """Files of one kind in one room that nothing in force lists and nothing pins."""

    room: str
    kind: str
    """A kind of parts, `manifests`, `receipts`, `damaged`, `tokenizer` or `spool`."""
    paths: tuple[str, ...]
    """For the lake's file system."""
    bytes: int


@dataclass
class _Kept:
    """What stays of one room."""

    parts: set[tuple[str, str]] = field(default_factory=set)
    """Kind and sha256."""
    manifests: set[str] = field(default_factory=set)
    """File names, those of pages too."""
    tasks: set[str] = field(default_factory=set)
    """Keys of the ingest's receipts."""


def find(lake: Lake) -> list[Garbage]:
    """What `delete_from` would delete now; nothing is changed and no lock is taken: of a room that is being written,
    what is not in force yet is among it. Raises LakeError where a manifest or a pin cannot be understood.
    """
    return list(_find(lake, _rooms(lake)))


def delete_from(lake: Lake, say: Callable[[list[Garbage]], None]) -> None:
    """Delete what `find` finds, while no room has another writer; `say` is told what, before the first file goes.

    Raises LakeError, naming the holder, while a room is being written; then nothing is deleted.
    """
    rooms = _rooms(lake)
    spooled = [found for found in _find(lake, rooms) if found.kind == "spool"]  # the locks sweep it
    with contextlib.ExitStack() as locks:
        locked = [locks.enter_context(lake.room(name).lock("gc")) for name in sorted({*rooms, PINS})]
        found = [found for found in _find(lake, rooms) if found.kind != "spool"]
        say(spooled + found)
        # One that is cut off leaves no receipt that names a part which is gone, and no damaged part without its note.
        order = {"receipts": 0, "damaged": 2}
        paths = [path for what in sorted(found, key=lambda f: order.get(f.kind, 1)) for path in what.paths]
        for index, path in enumerate(paths):
            if index % CHECK == 0:
                for room in locked:
                    room.check_lock()
            lake.fs.rm_file(path)


def _rooms(lake: Lake) -> list[str]:
    """Names of all rooms but the pins, also of corpora that were never published."""
    folders = [entry["name"] for entry in lake.fs.ls(lake.root, detail=True) if entry["type"] == "directory"]
    names = {path: {PurePosixPath(name).name for name in lake.fs.ls(path, detail=False)} for path in folders}
    return sorted(name for path in folders if (name := PurePosixPath(path).name) != PINS and names[path] & MARKS)


def _find(lake: Lake, rooms: Sequence[str]) -> Iterator[Garbage]:
    pins = list(_pins(lake))
    manifests = {name: [lake.room(name).manifest(stage) for stage in lake.room(name).current()] for name in rooms}
    tokenizers = {pin["tokenizer"] for pin in pins} | {
        manifest.get("fingerprint") or manifest.get("tokenizer") for found in manifests.values() for manifest in found
    }
    for name in rooms:
        room, kept = lake.room(name), _kept(lake.room(name), manifests[name], pins)
        found: dict[str, dict[str, int]] = {}
        for path, info in lake.fs.find(room.root, detail=True).items():
            if kind := _garbage(room, path.removeprefix(f"{room.root}/"), kept, tokenizers):
                found.setdefault(kind, {})[path] = info["size"]
        yield from (Garbage(name, kind, tuple(sorted(f)), sum(f.values())) for kind, f in sorted(found.items()))


def _kept(room: Room, manifests: list[dict[str, Any]], pins: list[dict[str, Any]]) -> _Kept:
    roots = {*room.current().values(), *(pin["manifests"][room.name] for pin in pins if room.name in pin["manifests"])}
    pages = (pages_of(room.lake.read_json(f"{room.name}/manifests/{root}") or {}) for root in roots)
    kept = _Kept(manifests=roots.union(*pages))
    for manifest in manifests:
        kept.parts |= {(kind, part["sha256"]) for kind, part in listed(manifest)}
        kept.tasks |= {digest([task["inputs"], task["config"]]) for task in manifest.get("tasks", ())}
    for pin in pins:
        kept.parts |= {(kind, sha256) for kind, pinned in pin["parts"].get(room.name, {}).items() for sha256 in pinned}
    return kept


def _garbage(room: Room, name: str, kept: _Kept, tokenizers: set[str]) -> str | None:
    """The kind of a file that nothing needs; None for one that stays, and for any that no stage writes."""
    folder, _, file = name.partition("/")
    if folder == SPOOL:
        return "spool"
    if found := PART.fullmatch(name):
        return folder if (folder, found[1]) not in kept.parts else None
    if found := NOTE.fullmatch(name):
        return folder if (found[1], found[2]) not in kept.parts else None
    if MANIFEST.fullmatch(name):
        return folder if file not in kept.manifests else None
    if found := RECEIPT.fullmatch(name):
        return folder if not _receipt_stays(room, file.split("/")[0], found[1], kept) else None
    if room.name == TOKENIZER and (found := FINGERPRINT.fullmatch(name)):
        return TOKENIZER if found[1] not in tokenizers else None
    return None


def _receipt_stays(room: Room, stage: str, key: str, kept: _Kept) -> bool:
    """An ingest's receipt stays with its task, any other with the parts that it names; one of findings goes: it belongs
    to edges that go too. So does a damaged one.
    """
    if stage in ("ingest", "findings"):
        return stage == "ingest" and key in kept.tasks
    named = [(kind, part["sha256"]) for kind, part in listed(room.receipt(stage, key))]
    return bool(named) and all(part in kept.parts for part in named)


def _pins(lake: Lake) -> Iterator[dict[str, Any]]:
    """What launches have pinned. Raises LakeError for a pin that is not understood: it may keep anything."""
    for path in sorted(lake.fs.glob(f"{lake.root}/{PINS}/*.json")):
        pin = lake.read_json(path.removeprefix(f"{lake.root}/"))
        if pin is None or pin.get("format") != PIN_FORMAT:
            raise LakeError(
                f"the pin {path} is not of format {PIN_FORMAT}, so what it keeps is not known: launch its plan again, "
                "or delete it if that run is over"
            )
        yield pin
