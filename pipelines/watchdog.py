"""Worker processes and their driver watch each other, so that neither is left waiting for the other's end.

A worker's shell leaves the note `<pid>.worker` in the run's folder before it becomes the worker, which takes the note
away when it ends in order; while it does a task, `<pid>-<key>.task` says which. A note without a process is a worker
that was killed: Beam's local runner would wait for it for ever. The driver then ends the others and names the part.
The other way round, a worker whose driver is gone ends itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LOOK = 0.2  # seconds between two looks of a worker at its driver
SILENCE = 3600.0  # seconds without a byte read by any worker process after which they are taken for hung
GRACE = 30.0  # seconds that ended workers, and Beam's threads that served them, are waited for
WORKER, TASK = ".worker", ".task"
BEAM_THREADS = ("run_worker", "beam_control_read", "read_grpc_client_inputs")  # fail where their worker is gone
BEAM_LOG = "apache_beam.runners.worker.data_plane"  # says so too


def command(folder: Path) -> str:
    """The shell command of a worker process of this driver.

    Ctrl-C in a terminal reaches every process of it: workers leave it to the driver. -P: nothing of the user's folder.
    `true`, since a shell ends where the redirection of a special builtin fails, as it does on a full disk.
    """
    note = f"{shlex.quote(str(folder))}/$${WORKER}"
    return f"trap '' INT; true > {note}; exec {shlex.quote(sys.executable)} -P -m pipelines.worker {os.getpid()} {note}"


def end_with(driver: int) -> None:
    """End this process as soon as its driver is gone, whatever its other threads do."""

    def look() -> None:
        while os.getppid() == driver:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=look, name="watchdog", daemon=True).start()


@contextlib.contextmanager
def doing(folder: Path, key: str) -> Iterator[None]:
    """Note that this process does a task, where the driver may see it."""
    note = folder / f"{os.getpid()}-{key}{TASK}"
    with contextlib.suppress(FileNotFoundError):  # on another machine than the driver's
        note.touch()
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def begun(folder: Path) -> Counter[str]:
    """Key of each task that some worker began and did not end -> how many did."""
    return Counter(note.stem.partition("-")[2] for note in folder.glob(f"*{TASK}"))


class Watchdog:
    """The driver's look at its worker processes; without any it sees nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bytes, self._heard = -1, time.monotonic()

    def lost(self, n_bytes: int) -> tuple[str, list[str]] | None:
        """Why the run cannot go on, given the bytes read so far, and the keys of the tasks it stopped in; else None."""
        workers = self._workers()
        gone = [pid for pid in workers if not _alive(pid) and self._note(pid).exists()]  # it may have ended meanwhile
        if gone:
            return f"its worker process {gone[0]} was killed or broke down", self._tasks(gone[0])
        if n_bytes != self._bytes:
            self._bytes, self._heard = n_bytes, time.monotonic()
        if not workers or time.monotonic() - self._heard < SILENCE:
            return None
        tasks = [key for pid in workers for key in self._tasks(pid)]
        return f"no worker process has read a byte for {SILENCE:.0f} seconds", tasks

    def end(self) -> None:
        """End all worker processes, stopped ones too, and wait until Beam's threads have noticed."""
        until = time.monotonic() + GRACE
        while (workers := [pid for pid in self._workers() if _alive(pid)]) and time.monotonic() < until:
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)  # until Beam's thread has waited for it
        for thread in threading.enumerate():
            if thread.name in BEAM_THREADS:
                thread.join(max(0.0, until - time.monotonic()))

    def _workers(self) -> list[int]:
        return sorted(int(note.stem) for note in self.folder.glob(f"*{WORKER}"))

    def _tasks(self, pid: int) -> list[str]:
        return sorted(note.stem.partition("-")[2] for note in self.folder.glob(f"{pid}-*{TASK}"))

    def _note(self, pid: int) -> Path:
        return self.folder / f"{pid}{WORKER}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Beam's threads that lose their worker print no traceback: the watchdog says it in one sentence."""
    before, log = threading.excepthook, logging.getLogger(BEAM_LOG)
    level = log.level
    log.setLevel(logging.CRITICAL)
    threading.excepthook = lambda what: (what.thread and what.thread.name in BEAM_THREADS) or before(what)
    try:
        yield
    finally:
        threading.excepthook = before
        log.setLevel(level)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the number is another's by now
        return False
    return True
