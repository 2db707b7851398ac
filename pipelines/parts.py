"""The one chain that every stage runs: tasks in, receipts out.

A task is the unit of work, of resuming and of determinism. A worker does it as a stream of batches, puts its parts in
the lake and leaves a receipt. A task whose receipt is there and whose parts are whole is not done again.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from corpora.config import digest
from corpora.errors import AssayError
from corpora.room import Room
from pipelines import watchdog
from pipelines.runners import Runner, WorkersLost

BEAT = 0.5  # seconds between two signs of life of a worker
PROGRESS = ".bytes"  # files in which workers keep how many bytes they have read


class StageFailed(AssayError):
    """Some tasks of a stage failed; the others, if any, are done. The message is one sentence that names the first."""


class Interrupted(AssayError):
    """A person stopped the run; what is done stays done."""

    exit_code = 130


@dataclass(frozen=True)
class Task:
    """What a stage does at once: a name for people, its inputs as plain data, and their size."""

    name: str
    inputs: Any
    """Plain data that says exactly what the task reads: with `config` it is the task's identity."""
    config: str
    """Digest of everything else that the result depends on."""
    size: int
    """Bytes to read: the largest tasks run first."""
    details: Any = None
    """What the work needs to know besides and its result does not depend on."""

    @cached_property
    def key(self) -> str:
        """Name of the task's receipt."""
        return key_of(self.inputs, self.config)


def key_of(inputs: Any, config: str) -> str:
    """Name of the receipt of a task with these inputs and config."""
    return digest([inputs, config])


Work = Callable[[Task, Room, "Watch"], dict[str, Any]]
Show = Callable[[str, int, int], None]


class Watch:
    """A worker's line to the driver: progress in bytes, and the word to stop; small files, as any runner has them."""

    def __init__(self, folder: Path) -> None:
        self._file, self._stop = folder / f"{uuid.uuid4().hex}{PROGRESS}", folder / "stop"
        self._bytes, self._beat = 0, 0.0

    def advance(self, n_bytes: int) -> None:
        """Say that `n_bytes` more were read. Raises Interrupted when the driver was told to stop."""
        self._bytes += n_bytes
        if time.monotonic() - self._beat >= BEAT:
            self._beat = time.monotonic()
            with contextlib.suppress(FileNotFoundError):  # on another machine the driver has no folder
                self._file.write_text(str(self._bytes))
        if self._stop.exists():
            raise Interrupted


class _Do:
    """Does a task and leaves its receipt. It never raises: a task that fails leaves a record of that instead."""

    def __init__(self, stage: str, work: Work, room: Room, folder: Path) -> None:
        self.stage, self.work, self.room, self.folder = stage, work, room, folder

    @cached_property
    def watch(self) -> Watch:
        """Made where the worker is: one per worker; on Dask, which unpickles this for each task, one per task."""
        return Watch(self.folder)

    def __call__(self, task: Task) -> str:
        try:
            self.watch.advance(0)
            with watchdog.doing(self.folder, task.key), self.room.apart(task.key) as room:
                receipt = self.work(task, room, self.watch)
                room.write_receipt(self.stage, task.key, {"stage": self.stage, "config": task.config, **receipt})
        except Interrupted:
            pass
        except Exception as error:
            why = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            if self.room.lake.local or self.folder.is_dir():
                _leave(self.folder / f"{task.key}.failed", why)
            else:
                self.room.note_failed(task.key, why)
        return task.key


def done(
    room: Room,
    stage: str,
    tasks: Sequence[Task],
    kinds: Sequence[str],
    receipts: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """key -> receipt of the tasks that need not be done again: receipt there, and every part that it names whole.

    `receipts`: those of the tasks, where the caller has read them.
    """
    sizes = {kind: room.sizes(kind) for kind in kinds}
    keys = [task.key for task in tasks]
    found = room.receipts(stage, keys) if receipts is None else receipts

    def whole(receipt: dict[str, Any]) -> bool:
        listed = (entry for parts in receipt["parts"] for entry in parts.items() if entry[0] in sizes and entry[1])
        return all(sizes[kind].get(part["sha256"]) == part["bytes"] for kind, part in listed)

    return {key: found[key] for key in keys if key in found and whole(found[key])}


def run(
    stage: str,
    tasks: Sequence[Task],
    work: Work,
    room: Room,
    runner: Runner,
    show: Show,
    kinds: Sequence[str],
    before: dict[str, dict[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Do what is missing of a stage's tasks; key -> receipt of all of them.

    `before`: what `done` found, where the caller asked already. Raises StageFailed when a task failed, Interrupted
    after Ctrl-C.
    """
    receipts = done(room, stage, tasks, kinds) if before is None else dict(before)
    missing = sorted((t for t in tasks if t.key not in receipts), key=lambda t: (-t.size, t.key))
    if missing:
        folder = room.spool / f"run-{stage}"
        folder.mkdir()
        try:
            runner.check(folder if room.lake.local else None)
        except KeyboardInterrupt:
            raise _interrupted(stage) from None
        ended = threading.Event()
        chain = threading.Thread(target=_chain, args=(stage, missing, work, room, runner, folder, ended), daemon=True)
        with watchdog.quiet():
            chain.start()
            _follow(ended, stage, sum(task.size for task in missing), folder, show)
        for key, why in room.take_failed():
            _leave(folder / f"{key}.failed", why)
        receipts |= done(room, stage, missing, kinds)
        _check(stage, missing, receipts, folder)
    return receipts


def _chain(
    stage: str, tasks: list[Task], work: Work, room: Room, runner: Runner, folder: Path, ended: threading.Event
) -> None:
    """The pipeline, which blocks until it is done: it has a thread of its own, so that the driver can follow it."""
    import apache_beam as beam

    try:
        with runner.pipeline(len(tasks), folder) as pipeline:
            # Beam's own temporary folder goes with the run's, which the next writer sweeps where this one is killed.
            Path(pipeline.local_tempdir).rmdir()
            pipeline.local_tempdir = str(folder / "beam")
            (
                pipeline
                | "tasks" >> beam.Create(tasks, reshuffle=False)
                | "deal out" >> beam.Reshuffle()
                | stage >> beam.Map(_Do(stage, work, room, folder))
            )
    except WorkersLost as lost:
        for name in (*lost.keys, "pipeline"):
            _leave(folder / f"{name}.failed", str(lost))
    except Exception:
        _leave(folder / "pipeline.failed", traceback.format_exc())
    finally:
        ended.set()


def _leave(file: Path, text: str) -> None:
    """Leave a record of what failed, if the disk still takes one."""
    with contextlib.suppress(OSError):
        file.write_text(text, "utf-8")


def _follow(ended: threading.Event, stage: str, total: int, folder: Path, show: Show) -> None:
    """Show progress until the chain ends; at Ctrl-C tell the workers to stop after their batch.

    Where a worker process is lost the chain would never end: then the others are ended too, and the reason is left.

    It waits for an event: a `Thread.join` that Ctrl-C interrupts takes the thread for ended (Python before 3.13).
    """
    stopped, dog = False, watchdog.Watchdog(folder)
    while not ended.is_set():
        try:
            ended.wait(BEAT / 2)
            read = _progress(folder)
            show(stage, min(read, total), total)
            if lost := dog.lost(read):
                dog.end()
                why, keys = lost
                for name in (*keys, "pipeline"):
                    _leave(folder / f"{name}.failed", why)
                break
        except KeyboardInterrupt:
            (folder / "stop").touch()
            stopped = True
    show(stage, total, total)
    if stopped:
        raise _interrupted(stage)


def _interrupted(stage: str) -> Interrupted:
    return Interrupted(f"{stage} was stopped; what is done stays, and the same command goes on with what is missing")


def _progress(folder: Path) -> int:
    """Bytes that all workers together have read."""
    return sum(int(file.read_text() or 0) for file in folder.glob(f"*{PROGRESS}"))


def _check(stage: str, tasks: list[Task], receipts: dict[str, Any], folder: Path) -> None:
    missing = [task for task in tasks if task.key not in receipts]
    if not missing:
        return
    failed = [task for task in missing if (folder / f"{task.key}.failed").exists()]
    first = (failed or missing)[0]
    why = "its worker is gone, or the disk is full: no reason was left"
    for name, line in ((f"{first.key}.failed", 0), ("pipeline.failed", -1)):
        if (folder / name).exists() and (said := (folder / name).read_text("utf-8").strip().splitlines()):
            why = said[line]
            break
    how = "are not done" if missing[len(failed) :] else "failed"
    others = "the others are done, and " if len(missing) < len(tasks) else ""
    raise StageFailed(
        f"{stage}: {len(missing)} of {len(tasks)} tasks {how}, the first at {first.name} ({why}); "
        f"{others}the same command goes on with what is missing"
    )
