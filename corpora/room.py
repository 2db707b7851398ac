"""A room of the lake: immutable parts, manifests named by their content, and one small file that says what is in force.

A room is a folder with one writer: a corpus, `duplicates`, or `tokenizer`. Nothing is ever changed in place: parts and
manifests are spooled aside and renamed (or put whole); replacing `current` is the commit.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from corpora import lock, spool, stores
from corpora import manifest as manifest_files
from corpora import part as parts
from corpora.config import digest
from corpora.errors import DamagedError, LakeError, reason
from corpora.part import Part, PartWriter

if TYPE_CHECKING:
    from corpora.lake import Lake

FAILED = "failed"  # folder of notes of tasks that failed on other machines than the driver's
EXTENSION = {"keys": "arrow", "edges": "arrow"}  # of the kinds of parts that are not Parquet


class Room:
    """A folder of the lake with one writer."""

    def __init__(self, lake: Lake, name: str) -> None:
        self.lake, self.name = lake, name
        self.fs, self.root = lake.fs, f"{lake.root}/{name}"
        self._spool: Path | None = None
        self._lease: lock.Lease | None = None  # the holder's, in a bucket
        self._unharmed = False  # known to have no notes of damaged parts

    def __reduce__(self):
        return _open_room, (self.lake, self.name, self._spool)

    # What is in force

    def current(self) -> dict[str, str]:
        """Stage -> file name of its manifest in force."""
        if self.lake.seen is not None:
            return self.lake.seen.get(self.name, {})
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
        manifest = self.read_manifest(name)
        if manifest is None:
            raise LakeError(self._gone(stage, name))
        self.lake.manifests[self.name, stage] = name, manifest
        return name, manifest

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        """The manifest of a file name, in force or not; None where it, or one of its pages, is not there."""
        root = self.lake.read_json(f"{self.name}/manifests/{name}")
        if root is None:
            return None
        names = manifest_files.pages_of(root)
        pages = dict(zip(names, self._cat([f"manifests/{page}" for page in names])))
        if None in pages.values():
            return None
        try:
            manifest_files.check(name, root)
            return manifest_files.joined(root, pages)
        except ValueError as error:
            remedy = self.lake.remedy(f"{self.name}/manifests/{name}")
            raise DamagedError(f"the manifest {self.root}/manifests/{name} is damaged: {error}; {remedy}") from None

    def _gone(self, stage: str, name: str) -> str:
        """Why the manifest of that name is not there."""
        if type(self.lake)(self.lake.url).room(self.name).current().get(stage) != name:
            return f"{self.root} was changed and swept while it was read: run the same command again"
        return (
            f"{self.root}/current names the manifest {name}, which is not there, or not all of its pages; "
            f"{self.lake.remedy(f'{self.name}/manifests/{name}')}"
        )

    def publish(self, **manifests: dict[str, Any]) -> None:
        """Put the manifests of some stages in force, all at once; those of other stages stay."""
        current = self.current()
        for stage, manifest in manifests.items():
            root, pages = manifest_files.split(manifest)
            before = self.lake.read_json(f"{self.name}/manifests/{current[stage]}") if stage in current else None
            there = set(manifest_files.pages_of(before or {}))
            for page in (page for page in pages if page not in there):
                self.write_bytes(f"manifests/{page}", pages[page])
            current[stage] = manifest_files.name_of(stage, root)
            self.write_json(f"manifests/{current[stage]}", root)
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
        """The batches of a part, one per row group; a damaged one is noted, and named."""
        with self.intact(kind, sha256), self.open(kind, sha256) as file:
            yield from parts.batches(file, columns)

    @contextlib.contextmanager
    def intact(self, kind: str, sha256: str) -> Iterator[None]:
        """Read a part inside: where that fails since its bytes are not those it is named by, that is noted.

        Raises LakeError, naming the part.
        """
        try:
            yield
        except parts.DAMAGE as error:
            path = self.path(kind, sha256)
            with self.open(kind, sha256) as file:
                if parts.sha256_of(file) == sha256:
                    raise LakeError(f"the part {path} cannot be read: {reason(error)}") from None
            with contextlib.suppress(OSError):  # a lake that is only read
                self.note_damaged(kind, sha256)
            raise DamagedError(f"the part {path} is damaged: the next `assay tokenize` makes it anew") from None

    def sizes(self, kind: str) -> dict[str, int]:
        """sha256 -> bytes of the parts of a kind that are there and not noted as damaged."""
        damaged = self.noted(kind)
        return {sha256: size for sha256, size in self._files(kind).items() if sha256 not in damaged}

    def noted(self, kind: str) -> set[str]:
        """sha256 of the parts of a kind that are noted as damaged."""
        return set(self._files(f"damaged/{kind}")) if self._harmed() else set()

    def delete_noted(self, kind: str) -> None:
        """Delete the parts of a kind that are noted as damaged, and the notes: for parts that no manifest lists."""
        for sha256 in self.noted(kind):
            with contextlib.suppress(FileNotFoundError):
                self.fs.rm_file(self.path(kind, sha256))
            self.fs.rm_file(self._note(kind, sha256))

    def whole(self, kind: str, part: dict[str, Any]) -> bool:
        """Whether a part that a receipt or a manifest lists is there, of its size, and not noted as damaged."""
        try:
            size = self.fs.size(self.path(kind, part["sha256"]))
        except FileNotFoundError:
            return False
        return size == part["bytes"] and not self._noted(kind, part["sha256"])

    def note_damaged(self, kind: str, sha256: str) -> None:
        """Note that the bytes of a part are not those it is named by, so that the next writer makes it anew.

        It takes no lock: nothing that is in force is touched. The note goes when the part is made.
        """
        note = self._note(kind, sha256)
        if self.lake.local:
            Path(note).parent.mkdir(parents=True, exist_ok=True)
        self.fs.pipe_file(note, b"")

    def _cat(self, names: Sequence[str]) -> list[bytes | None]:
        """The files of those names, a bucket's read at once; None for one that is not there."""
        paths = [f"{self.root}/{name}" for name in names]
        found = self.fs.cat_ranges(paths, 0, None, on_error="return") if paths else []  # 0: S3 is not asked the size
        for error in found:
            if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                raise error
        return [None if isinstance(content, Exception) else content for content in found]

    def _harmed(self) -> bool:
        """Whether any part may be noted as damaged: to ask once costs less than to ask of each part."""
        return self.fs.isdir(f"{self.root}/damaged")

    def _noted(self, kind: str, sha256: str) -> bool:
        return not self._unharmed and self.fs.exists(self._note(kind, sha256))

    def _note(self, kind: str, sha256: str) -> str:
        return f"{self.root}/damaged/{kind}/part-{sha256}"

    def _files(self, kind: str) -> dict[str, int]:
        listed = ((Path(entry["name"]).name, entry["size"]) for entry in self.lake.ls(f"{self.root}/{kind}"))
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
        if self._noted(kind, part.sha256):
            self.fs.rm_file(self._note(kind, part.sha256))
        return part

    def put(self, source: Path, name: str) -> None:
        """Move a finished local file into the room under a name, whole or not at all."""
        self._put(source, f"{self.root}/{name}")

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Put a JSON object into the room under a name, whole or not at all."""
        self.write_bytes(name, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())

    def write_bytes(self, name: str, value: bytes) -> None:
        """Put bytes into the room under a name, whole or not at all."""
        source = self.spool / f"bytes-{uuid.uuid4().hex}"
        source.write_bytes(value)
        self._put(source, f"{self.root}/{name}")

    def remove(self, name: str) -> None:
        """Delete a file of the room."""
        self.fs.rm_file(f"{self.root}/{name}")

    # Receipts

    def receipt(self, stage: str, key: str) -> dict[str, Any] | None:
        """What the task `key` of a stage read and wrote, if it was done."""
        return self.receipts(stage, [key]).get(key)

    def receipts(self, stage: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """key -> what that task of a stage read and wrote, of those that were done. One that is damaged counts for
        none: its task is done again.
        """
        found = self._cat([f"receipts/{stage}/{key}.json" for key in keys])
        receipts = {}
        for key, text in zip(keys, found):
            with contextlib.suppress(ValueError):
                receipt = json.loads(text or b"{}")
                if isinstance(receipt, dict) and receipt.pop("digest", None) == digest(receipt):
                    receipts[key] = receipt
        return receipts

    def write_receipt(self, stage: str, key: str, receipt: dict[str, Any]) -> None:
        """Note that a task is done; its parts must be in the lake already."""
        self.write_json(f"receipts/{stage}/{key}.json", receipt | {"digest": digest(receipt)})

    def drop_receipt(self, stage: str, key: str) -> None:
        """Forget that a task is done."""
        self.fs.rm_file(f"{self.root}/receipts/{stage}/{key}.json")

    # Failures on machines that do not see the driver's disk

    def note_failed(self, key: str, why: str) -> None:
        """Leave word for the driver of why a task failed, if the bucket takes it."""
        with contextlib.suppress(Exception):
            self.fs.pipe_file(f"{self.root}/{FAILED}/{key}", why.encode())

    def take_failed(self) -> list[tuple[str, str]]:
        """The words left by tasks that failed elsewhere, as (key, why); they are gone then."""
        folder = f"{self.root}/{FAILED}"
        notes = [] if self.lake.local or not self.fs.isdir(folder) else self.fs.ls(folder, detail=False)
        found = [(Path(note).name, self.fs.cat_file(note, start=0).decode()) for note in notes]
        for note in notes:
            self.fs.rm_file(note)
        return found

    # Writing

    @property
    def spool(self) -> Path:
        """Local folder for unfinished files, on the lake's own disk if it has one; only for the holder of the lock.

        Of a lake in a bucket it is the driver's: workers on other machines have no such folder.
        """
        if self._spool is None:
            raise LakeError(f"{self.root} is written without holding its lock")
        return self._spool

    @contextlib.contextmanager
    def apart(self, name: str) -> Iterator[Room]:
        """The same room with a spool folder of its own, so that what a failed attempt leaves there goes with it."""
        room = Room(self.lake, self.name)
        room._unharmed = not self._harmed()
        if not self.lake.local and not self.spool.is_dir():  # on another machine than the driver's
            spool.sweep(self._url)
            with spool.folder(self._url) as room._spool:
                yield room
            return
        room._spool = self.spool / f"{name}-{uuid.uuid4().hex}"  # a cluster may do the same task twice, even at once
        room._spool.mkdir()
        try:
            yield room
        finally:
            shutil.rmtree(room._spool, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, verb: str, say: Callable[[str], None] = lambda sentence: None) -> Iterator[Room]:
        """Be the room's one writer; what earlier attempts left unfinished is swept.

        `say` is told when another process is waited for that may be gone. Raises LakeError, naming the holder, while
        another process writes.
        """
        holder = f"{verb}, process {os.getpid()} on {socket.gethostname()}"
        with self._on_disk(holder) if self.lake.local else self._in_bucket(holder, say) as folder:
            # Of its own: workers of a killed driver may live for a moment more and must not write into ours.
            self._spool = folder / uuid.uuid4().hex
            self._spool.mkdir(parents=True)
            try:
                yield self
            finally:
                self._spool = None

    def sweep(self) -> None:
        """Remove what a killed writer left, unless someone writes now: for runs that find the room up to date."""
        if Path(self.root, ".tmp").exists() if self.lake.local else spool.left(self._url):
            with contextlib.suppress(LakeError), self.lock("sweep"):
                pass

    def check_lock(self) -> None:
        """Raise LakeError where another writer has taken the room over: on disks none can."""
        if self._lease:
            self._lease.check()

    @property
    def _url(self) -> str:
        return f"{self.lake.url}/{self.name}"

    @contextlib.contextmanager
    def _on_disk(self, holder: str) -> Iterator[Path]:
        with lock.on_disk(Path(self.root, ".lock"), self.name, holder):
            folder = Path(self.root, ".tmp")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _in_bucket(self, holder: str, say: Callable[[str], None]) -> Iterator[Path]:
        with (
            spool.folder(self._url) as folder,
            lock.in_bucket(self.fs, f"{self.root}/lock", self.name, holder, folder, say) as self._lease,
        ):
            spool.sweep(self._url)
            self.take_failed()
            stores.abort_uploads(self.fs, self.root)
            try:
                yield folder
            finally:
                self._lease = None

    def _put(self, source: Path, target: str) -> None:
        if target == f"{self.root}/current":
            self.check_lock()
        if self.lake.local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as file:
                os.fsync(file.fileno())
            source.replace(target)
            sync_folder(Path(target).parent)
        else:
            self.fs.put_file(str(source), target)
            source.unlink()


def _open_room(lake: Lake, name: str, spool: Path | None) -> Room:
    room = Room(lake, name)
    room._spool = spool
    return room


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
