"""One writer per room: a file lock on disks, a lease in buckets.

**On disks** the kernel's lock of a file, which dies with its process.

**In buckets** a lease needs no more than what S3, GCS and ABFS have: create unless there, overwrite, list, delete, each
seen by all at once (all three promise that). Leases are objects `lock/<n>` that hold who has the lease and a beat, a
counter that the holder raises every `BEAT` seconds. Only the highest number counts.

- Two that want the lease create the same next number, and one of them wins. What a client repeats by itself because
  the answer was lost finds its own object there, and has won too.
- A lease is free when its holder says so, in its object, at the end. It is taken over, by creating the next number,
  when its beat has stood still for `DEAD` seconds by the clock of him who waits, which no one sets and which stands
  still while his machine sleeps. Times of two machines are never compared.
- On the holder's own machine no one waits: the holder's spool folder is locked while it lives (`corpora.spool`).
- The highest object stays when a lease is given back, so that numbers only go up: a holder that slept, was taken over
  and wakes up finds a higher number, whatever became of it, and may still write its own, which counts no more.
- Before it replaces `current`, and while it deletes, a holder looks whether the highest number is its own. What is left
  is a holder that is stopped between this look and its next request for longer than `DEAD`. It would put the manifests
  of an earlier moment in force; `status` calls that stale and the next run mends it, unless a gc has deleted their
  parts meanwhile, which makes it make them anew.
- Parts and receipts need no lease. They are named by their content or by what they were made from, so that the workers
  of a killed or overtaken driver can only write what is there already, or is in force nowhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from corpora import spool
from corpora.errors import LakeError

BEAT = 5.0  # seconds between two signs of life of a lease's holder
DEAD = 60.0  # seconds without one after which a lease may be taken over
LOOKS = 5  # of one who waits, in the time of a beat

Say = Callable[[str], None]


@contextlib.contextmanager
def on_disk(file: Path, room: str, holder: str) -> Iterator[None]:
    """Hold the lock of a file. Raises LakeError, naming the holder, while another process does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise _busy(room, lock.read() or "another process") from None
        lock.truncate(0)
        lock.write(holder)
        lock.flush()
        yield
        lock.truncate(0)


class Lease:
    """A lease on a folder of a bucket, while it is held."""

    def __init__(self, fs: AbstractFileSystem, folder: str, room: str, holder: str, spooled: Path) -> None:
        self.fs, self.folder, self.room = fs, folder, room
        self.note = {"holder": holder, "machine": spool.machine(), "spool": str(spooled), "beat": 0}
        self.number = 0
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)

    def check(self) -> None:
        """Raise LakeError where another writer has taken the lease over meanwhile."""
        number, note = self._highest()
        if number != self.number or note["spool"] != self.note["spool"]:
            by = f" by {note['holder']}" if note and note["beat"] is not None else ""
            raise LakeError(
                f"{self.room} was taken over{by} while this process gave no sign of life: nothing was published; what "
                "is done stays, and the same command goes on from there"
            )

    def take(self, say: Say) -> None:
        """Wait until the lease is free or its holder is known to be gone, and take it.

        Raises LakeError, naming the holder, as soon as that one is seen to live.
        """
        seen, since, said = (0, None), time.monotonic(), False
        while True:
            number, note = self._highest()
            still = time.monotonic() - since
            if (number, note) != seen:
                if seen[0] == number and note["beat"] is not None:
                    raise _busy(self.room, note["holder"])
                seen, since, still = (number, note), time.monotonic(), 0.0
            if note is None or note["beat"] is None or self._gone(note) or still >= DEAD:
                if self._create(number + 1):
                    if self._highest()[0] == number + 1:
                        break
                    self._delete(number + 1)  # what was seen as free was older than what others have taken since
            else:
                if not said and still > 2 * BEAT:
                    say(
                        f"{self.room} is held by {note['holder']}, which gives no sign of life: it is waited for "
                        f"{DEAD:.0f} seconds in all, then taken for gone."
                    )
                    said = True
                time.sleep(BEAT / LOOKS)
        self._delete_lower()
        self._heart.start()

    def give_back(self) -> None:
        """Say that the lease is free. Where that fails it will be taken over."""
        self._over.set()
        self._heart.join()  # or its last beat would come after this
        with contextlib.suppress(Exception):
            if self._highest()[0] == self.number:
                self._write(None)

    def _gone(self, note: dict[str, Any]) -> bool:
        """Whether the holder was a process of this machine and is no more. Raises LakeError where it lives."""
        if note["machine"] is None or note["machine"] != spool.machine():
            return False
        used = spool.in_use(Path(note["spool"]))
        if used:
            raise _busy(self.room, note["holder"])
        return used is False

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with contextlib.suppress(Exception):  # the network may be back at the next one
                self._write(self.note["beat"] + 1)

    def _write(self, beat: int | None) -> None:
        self.note["beat"] = beat
        self.fs.pipe_file(self._path(self.number), json.dumps(self.note).encode())

    def _create(self, number: int) -> bool:
        """Whether this number is ours now."""
        try:
            self.fs.pipe_file(self._path(number), json.dumps(self.note).encode(), mode="create")
        except OSError as error:  # FileExistsError, or whatever a client makes of that
            there = self._read(number)
            if there is None and isinstance(error, FileExistsError):  # it went meanwhile
                return False
            if there is None:
                raise type(error)(error.errno or 0, error.strerror or str(error), self.folder) from None
            if there["spool"] != self.note["spool"]:
                return False
        self.number = number
        return True

    def _delete_lower(self) -> None:
        for number in self._numbers():
            if number < self.number:
                self._delete(number)

    def _delete(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self._path(number))

    def _highest(self) -> tuple[int, dict[str, Any] | None]:
        """The highest number and what its object holds; (0, None) where there is none."""
        while numbers := self._numbers():
            if note := self._read(max(numbers)):  # else it went meanwhile: there is a higher one
                return max(numbers), note
        return 0, None

    def _numbers(self) -> list[int]:
        try:
            names = (path.rpartition("/")[2] for path in self.fs.ls(self.folder, detail=False))
            return [int(name) for name in names if name.isdecimal()]
        except FileNotFoundError:
            return []

    def _read(self, number: int) -> dict[str, Any] | None:
        try:
            return json.loads(self.fs.cat_file(self._path(number), start=0))
        except FileNotFoundError:
            return None

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number}"


@contextlib.contextmanager
def in_bucket(
    fs: AbstractFileSystem, folder: str, room: str, holder: str, spooled: Path, say: Say = lambda sentence: None
) -> Iterator[Lease]:
    """Hold the lease of a folder. Raises LakeError, naming the holder, while another process does.

    `fs` must not cache listings. `spooled`: a temporary folder of `corpora.spool`. `say` is told when a holder that may
    be gone is waited for.
    """
    lease = Lease(fs, folder, room, holder, spooled)
    lease.take(say)
    try:
        yield lease
    finally:
        lease.give_back()


def _busy(room: str, holder: str) -> LakeError:
    return LakeError(f"{room} is being written by {holder}; wait for it to end")
