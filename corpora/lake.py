"""The lake: immutable parts, manifests named by their content, and one small file per room that says what is in force.

A room is a folder of the lake with one writer: a corpus, `duplicates`, or `tokenizer`. All I/O goes through fsspec.
Nothing is ever changed in place: parts and manifests are spooled aside and renamed (or put whole); replacing `current`
is the commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from corpora import part as parts
from corpora.config import digest
from corpora.errors import AssayError
from corpora.part import Part, PartWriter

DUPLICATES, TOKENIZER, PINS = "duplicates", "tokenizer", "pins"  # rooms that are not corpora
EXTENSION = {"keys": "arrow", "edges": "arrow"}  # of the kinds of parts that are not Parquet
LOOKS = 100  # at what is in force, until two after each other see the same


class LakeError(AssayError):
    """Something about a lake that a person must see to, in one sentence."""


class DamagedError(LakeError):
    """A file of the lake that holds no JSON."""


class Lake:
    """A lake at a path or URL. It need not be there yet."""

    def __init__(self, url: str | os.PathLike) -> None:
        self.fs, self.root = fsspec.core.url_to_fs(os.fspath(url))
        self.local = isinstance(self.fs, LocalFileSystem)
        self.url = self.root if self.local else self.fs.unstrip_protocol(self.root)
        self.manifests: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}  # what `Room.in_force` read last
        self._seen: dict[str, dict[str, str]] | None = None  # what is in force, of a lake `at_once`

    def __reduce__(self):
        return Lake, (self.url,)

    def at_once(self) -> Lake:
        """The lake as it is now, for one who reads several rooms: what is put in force later he does not see.

        Raises LakeError where it changes all the time. What it was may go by `assay gc` before it is read.
        """
        if self._seen is not None:
            return self
        last = None
        for _ in range(LOOKS):  # two equal looks: all that was seen was in force at one moment, between the two
            seen = {name: current for name in self._rooms() if (current := self.room(name).current())}
            if seen == last:
                found = Lake(self.url)
                found._seen = seen
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
        if self._seen is not None:
            return sorted(self._seen)
        self.fs.invalidate_cache()  # others write here too
        if not self.fs.isdir(self.root):
            if self.fs.isfile(self.root):
                raise LakeError(f"{self.url} is a file, and a lake is a folder: name another --lake")
            return []
        return sorted(Path(e["name"]).name for e in self.fs.ls(self.root, detail=True) if e["type"] == "directory")

    @property
    def sample(self) -> bool | None:
        """Whether the lake holds the embedded sample; None while it holds nothing."""
        now = self.at_once()
        marks = {bool(now.room(name).manifest("ingest").get("sample")) for name in now.corpora()}
        return marks.pop() if len(marks) == 1 else None

    def tokenizer_json(self, fingerprint: str) -> bytes:
        """The canonical `tokenizer.json` of that fingerprint."""
        path = f"{self.root}/{TOKENIZER}/tokenizer-{fingerprint}.json"
        try:
            return self.fs.cat_file(path)
        except FileNotFoundError:
            raise LakeError(f"the tokenizer {path} is gone; `assay tokenize --tokenizer FILE` sets it again") from None

    def read_json(self, path: str) -> dict[str, Any] | None:
        """The JSON object at a path of the lake, or None where there is no file. Raises DamagedError."""
        try:
            found = json.loads(self.fs.cat_file(f"{self.root}/{path}"))
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        raise DamagedError(f"{self.url}/{path} is damaged: it holds no JSON; {self._remedy(path)}")

    def _remedy(self, path: str) -> str:
        """What to do about a damaged file at a path of the lake."""
        room, _, name = path.partition("/")
        if name == "run.json":
            return f"delete it, and say `assay ingest {room} --raw` where its raw files are"
        if room == PINS:
            return "launch its plan again, or delete it if that run is over"
        more = f" --tokenizer {self.root}/{TOKENIZER}/tokenizer-*.json" if room == TOKENIZER else ""
        return (
            f"delete {self.root}/{room}/current and run `assay tokenize --all{more} --lake {self.url}`, "
            "which makes it anew from what is whole"
        )


class Room:
    """A folder of the lake with one writer."""

    def __init__(self, lake: Lake, name: str) -> None:
        self.lake, self.name = lake, name
        self.fs, self.root = lake.fs, f"{lake.root}/{name}"
        self._spool: Path | None = None

    def __reduce__(self):
        return _open_room, (self.lake.url, self.name, self._spool)

    # What is in force

    def current(self) -> dict[str, str]:
        """Stage -> file name of its manifest in force."""
        if self.lake._seen is not None:
            return self.lake._seen.get(self.name, {})
        return self.lake.read_json(f"{self.name}/current") or {}

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """The manifest in force of a stage, or None."""
        return self.in_force(stage)[1]

    def in_force(self, stage: str) -> tuple[str, dict[str, Any]] | tuple[None, None]:
        """File name and content of the manifest in force of a stage; (None, None) where there is none.

        It is named by its content: one that is still in force is not read again, and nobody may change what he gets.
        """
        name = self.current().get(stage)
        if name is None:
            return None, None
        last = self.lake.manifests.get((self.name, stage))
        if last and last[0] == name:
            return last
        manifest = self.lake.read_json(f"{self.name}/manifests/{name}")
        if manifest is None:
            raise LakeError(self._gone(stage, name))
        self.lake.manifests[self.name, stage] = name, manifest
        return name, manifest

    def _gone(self, stage: str, name: str) -> str:
        """Why the manifest of that name is not there."""
        if Lake(self.lake.url).room(self.name).current().get(stage) != name:
            return f"{self.root} was changed and swept while it was read: run the same command again"
        return (
            f"{self.root}/current names the manifest {name}, which is not there; "
            f"{self.lake._remedy(f'{self.name}/manifests/{name}')}"
        )

    def publish(self, **manifests: dict[str, Any]) -> None:
        """Put the manifests of some stages in force, all at once; those of other stages stay."""
        current = self.current()
        for stage, manifest in manifests.items():
            name = f"{stage}-{digest(manifest)}.json"
            self.write_json(f"manifests/{name}", manifest)
            current[stage] = name
        self.write_json("current", current)

    # Parts

    def path(self, kind: str, sha256: str) -> str:
        """Where a part lies: a path for `fs`."""
        return f"{self.root}/{kind}/part-{sha256}.{EXTENSION.get(kind, 'parquet')}"

    def open(self, kind: str, sha256: str) -> BinaryIO:
        """A part, to read."""
        try:
            return self.fs.open(self.path(kind, sha256), "rb")
        except FileNotFoundError:
            raise LakeError(
                f"the part {self.path(kind, sha256)} is gone; run `assay reconcile` to see what is missing"
            ) from None

    def read(self, kind: str, sha256: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The batches of a part, one per row group."""
        with self.open(kind, sha256) as file:
            yield from parts.batches(file, columns)

    def sizes(self, kind: str) -> dict[str, int]:
        """sha256 -> bytes of the parts of a kind that are there and not noted as damaged."""
        damaged = self._files(f"damaged/{kind}")
        return {sha256: size for sha256, size in self._files(kind).items() if sha256 not in damaged}

    def whole(self, kind: str, part: dict[str, Any]) -> bool:
        """Whether a part that a receipt or a manifest lists is there, of its size, and not noted as damaged."""
        path, note = self.path(kind, part["sha256"]), self._note(kind, part["sha256"])
        self.fs.invalidate_cache()
        return self.fs.exists(path) and self.fs.size(path) == part["bytes"] and not self.fs.exists(note)

    def note_damaged(self, kind: str, sha256: str) -> None:
        """Note that the bytes of a part are not those it is named by, so that the next writer makes it anew.

        It takes no lock: nothing that is in force is touched. The note goes when the part is made.
        """
        note = self._note(kind, sha256)
        if self.lake.local:
            Path(note).parent.mkdir(parents=True, exist_ok=True)
        self.fs.pipe_file(note, b"")

    def _note(self, kind: str, sha256: str) -> str:
        return f"{self.root}/damaged/{kind}/part-{sha256}"

    def _files(self, kind: str) -> dict[str, int]:
        folder = f"{self.root}/{kind}"
        self.fs.invalidate_cache()  # workers elsewhere write here too
        if not self.fs.isdir(folder):
            return {}
        listed = ((Path(entry["name"]).name, entry["size"]) for entry in self.fs.ls(folder, detail=True))
        return {name[5:].partition(".")[0]: size for name, size in listed if name.startswith("part-")}

    def writer(self, kind: str, schema: pa.Schema, **options: int) -> PartWriter:
        """A writer whose part `keep` will put under `kind`."""
        return PartWriter(self.spool / f"{kind}-{uuid.uuid4().hex}", schema, **options)

    def keep(self, kind: str, writer: PartWriter) -> Part:
        """Close a writer and put its part in the lake, whole or not at all."""
        return self.keep_file(kind, writer.spool, writer.close())

    def keep_file(self, kind: str, spooled: Path, part: Part) -> Part:
        """Put a finished spool file in the lake as a part."""
        self._put(spooled, self.path(kind, part.sha256))
        if self.fs.exists(note := self._note(kind, part.sha256)):
            self.fs.rm_file(note)
        return part

    def put(self, source: Path, name: str) -> None:
        """Move a finished local file into the room under a name, whole or not at all."""
        self._put(source, f"{self.root}/{name}")

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Put a JSON object into the room under a name, whole or not at all."""
        source = self.spool / f"json-{uuid.uuid4().hex}"
        source.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
        self._put(source, f"{self.root}/{name}")

    def remove(self, name: str) -> None:
        """Delete a file of the room."""
        self.fs.rm_file(f"{self.root}/{name}")

    # Receipts

    def receipt(self, stage: str, key: str) -> dict[str, Any] | None:
        """What the task `key` of a stage read and wrote, if it was done; a damaged receipt is as good as none."""
        try:
            receipt = self.lake.read_json(f"{self.name}/receipts/{stage}/{key}.json") or {}
        except DamagedError:
            return None
        return receipt if receipt.pop("digest", None) == digest(receipt) else None

    def write_receipt(self, stage: str, key: str, receipt: dict[str, Any]) -> None:
        """Note that a task is done; its parts must be in the lake already."""
        self.write_json(f"receipts/{stage}/{key}.json", receipt | {"digest": digest(receipt)})

    def drop_receipt(self, stage: str, key: str) -> None:
        """Forget that a task is done."""
        self.fs.rm_file(f"{self.root}/receipts/{stage}/{key}.json")

    # Writing

    @property
    def spool(self) -> Path:
        """Local folder for unfinished files, on the lake's own disk if it has one; only for the holder of the lock."""
        if self._spool is None:
            raise LakeError(f"{self.root} is written without holding its lock")
        return self._spool

    @contextlib.contextmanager
    def apart(self, name: str) -> Iterator[Room]:
        """The same room with a spool folder of its own, so that what a failed attempt leaves there goes with it."""
        room = Room(self.lake, self.name)
        room._spool = self.spool / name
        room._spool.mkdir()
        try:
            yield room
        finally:
            shutil.rmtree(room._spool, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, verb: str) -> Iterator[Room]:
        """Be the room's one writer; what earlier attempts left unfinished is swept.

        Raises LakeError, naming the holder, while another process writes.
        """
        with self._lock_file(f"{verb}, process {os.getpid()} on {socket.gethostname()}"):
            local = Path(self.root, ".tmp") if self.lake.local else Path(tempfile.mkdtemp(prefix="assay-"))
            shutil.rmtree(local, ignore_errors=True)
            # Of its own: workers of a killed driver may live for a moment more and must not write into ours.
            self._spool = local / uuid.uuid4().hex
            self._spool.mkdir(parents=True)
            try:
                yield self
            finally:
                self._spool = None
                shutil.rmtree(local, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed writer left, unless someone writes now: for runs that find the room up to date."""
        if self.lake.local and Path(self.root, ".tmp").exists():
            with contextlib.suppress(LakeError), self.lock("sweep"):
                pass

    @contextlib.contextmanager
    def _lock_file(self, holder: str) -> Iterator[None]:
        if not self.lake.local:
            # A bucket has no lock that dies with its process: conditional create, removed at the end.
            path = f"{self.root}/lock"
            try:
                self.fs.pipe_file(path, holder.encode(), mode="create")
            except FileExistsError:
                held = self.fs.cat_file(path).decode("utf-8", "replace")
                raise LakeError(
                    f"{self.name} is being written by {held}; if that process is gone, delete {path}"
                ) from None
            try:
                yield
            finally:
                self.fs.rm_file(path)
            return
        path = Path(self.root, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise LakeError(
                    f"{self.name} is being written by {file.read() or 'another process'}; wait for it to end"
                ) from None
            file.truncate(0)
            file.write(holder)
            file.flush()
            yield
            file.truncate(0)

    def _put(self, source: Path, target: str) -> None:
        if self.lake.local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as file:
                os.fsync(file.fileno())
            source.replace(target)
            sync_folder(Path(target).parent)
        else:
            self.fs.put_file(str(source), target)
            source.unlink()


def _open_room(url: str, name: str, spool: Path | None) -> Room:
    room = Lake(url).room(name)
    room._spool = spool
    return room


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
