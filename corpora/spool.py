"""Temporary folders for lakes that have no disk of their own, none of which outlives its use.

A folder is locked (flock) as long as it is used, and the lock dies with its process, also at kill -9: whoever gets the
lock of another one's folder knows that its process is gone, and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux: names this run of this machine's kernel


@contextlib.contextmanager
def folder(owner: str) -> Iterator[Path]:
    """A temporary folder, removed at the end. `owner` says whose it is: a URL."""
    path, handle = _locked(owner)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def left(owner: str) -> list[Path]:
    """Folders of an owner that killed processes of this machine have left; those of other users are not ours to see."""
    return [path for path in Path(tempfile.gettempdir()).glob(f"{_prefix(owner)}*") if in_use(path) is False]


def sweep(owner: str) -> None:
    """Remove what killed processes have left of an owner's folders."""
    for path in left(owner):
        with _claimed(path) as ours:
            if ours:
                shutil.rmtree(path, ignore_errors=True)


def in_use(path: Path) -> bool | None:
    """Whether a live process of this machine uses a temporary folder; None where that cannot be told."""
    with _claimed(path) as ours:
        return None if ours is None else not ours


def machine() -> str | None:
    """Names what locks reach: this machine since it was started. None where that has no name: there nobody may
    conclude from a lock that is free that its holder is gone.
    """
    try:
        return BOOT.read_text().strip()
    except OSError:
        return None


def _prefix(owner: str) -> str:
    return f"assay-{sha256(owner.encode()).hexdigest()[:16]}-"


def _locked(owner: str) -> tuple[Path, int]:
    """A new folder and the open handle that holds its lock."""
    while True:
        path = Path(tempfile.gettempdir(), f"{_prefix(owner)}{uuid.uuid4().hex}")
        path.mkdir(mode=0o700)
        handle = None
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():  # else someone swept it before it was locked
                return path, handle
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool | None]:
    """Whether we hold the lock of a folder now; None where it cannot be asked for."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours: bool | None = True
    except BlockingIOError:
        ours = False
    except OSError:  # a file system without locks
        ours = None
    try:
        yield ours
    finally:
        os.close(handle)
