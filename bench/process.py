"""Runs a command on some cores of this machine and says what it took: wall time, processor time, memory of its tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

SAMPLED_EVERY = 0.02  # seconds between two looks at the memory of the tree


@dataclass(frozen=True)
class Took:
    """What a command took, from its start to its end."""

    seconds: float
    cpu_seconds: float
    """Of all processes of the tree, in user and system mode."""
    peak_bytes: int
    """Most resident memory of the tree at any one time; pages shared by two processes count twice."""


def run(command: Sequence[str | Path], cores: int, folder: Path, env: Mapping[str, str] | None = None) -> Took:
    """Run a command in a folder, kept to the first `cores` cores. Raises RuntimeError with its output when it fails."""
    with tempfile.TemporaryFile() as errors:
        start = perf_counter()
        with kept_to(cores):
            process = subprocess.Popen(
                command, cwd=folder, env=os.environ | (env or {}), stdout=subprocess.DEVNULL, stderr=errors
            )
        peak, over = [0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, over))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        watcher.join()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(map(str, command))}: {errors.read().decode(errors='replace')}")
    return Took(seconds, usage.ru_utime + usage.ru_stime, max(peak[0], usage.ru_maxrss << 10))


@contextmanager
def kept_to(cores: int) -> Iterator[None]:
    """Keep this thread, and the threads and processes that it starts, to the first `cores` cores of its own."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def forget(path: Path) -> None:
    """Drop a file from the page cache, so that the next to read it reads the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _watch(pid: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(SAMPLED_EVERY):
        peak[0] = max(peak[0], sum(map(_resident, _tree(pid))))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # it has ended since
        return
    for child in children:
        yield from _tree(child)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
