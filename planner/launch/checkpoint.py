"""Checkpoints of a run: `step-N` folders, each whole or not there, and the lock on the folder that they lie in."""

from __future__ import annotations

import contextlib
import copy
import errno
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.optim import Optimizer

from corpora.errors import AssayError
from corpora.room import sync_folder
from planner.launch.ranks import first, together

CHECKPOINT = "checkpoint.json"  # written last: a folder without it is no checkpoint
LOCK = ".lock"
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Be the one run that writes to `out`; refuse, on all ranks, where another does. All ranks enter this."""
    with contextlib.ExitStack() as stack:
        first(lambda: stack.enter_context(_lock(out)))
        yield


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("a+")
    except OSError as error:
        raise AssayError(f"{out.absolute()} cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with its process, whatever ends that
        except BlockingIOError:
            file.seek(0)
            raise AssayError(
                f"{out.absolute()} is being trained into by {file.read() or 'another process'}: wait for it to end, "
                "or train with --out ANOTHER_FOLDER"
            ) from None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            print(f"{out.absolute()} is on a disk without locks: start no second run there", file=sys.stderr)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
        file.truncate(0)


def checkpoints(out: Path) -> dict[int, Path]:
    """Step -> folder of every whole checkpoint, the newest last."""
    found = {int(path.name[5:]): path for path in out.glob("step-*") if path.name[5:].isdecimal()}
    return {step: found[step] for step in sorted(found) if (found[step] / CHECKPOINT).is_file()}


def save(out: Path, step: int, identity: dict[str, Any], keep: int, model: nn.Module, optimizer: Optimizer) -> None:
    """Write a checkpoint aside, whole, and rename it to `step-N`; then delete all but the newest `keep`.

    All ranks call this. Raises AssayError, on all of them, where it cannot be written; nothing of it is left then.
    """
    aside, final = out / f".step-{step}", out / f"step-{step}"

    def begin() -> None:
        for left in out.glob(".step-*"):  # by a run that was killed while it saved
            shutil.rmtree(left)
        aside.mkdir(parents=True)

    def commit() -> None:
        with (aside / CHECKPOINT).open("w", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "run": identity}, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(aside)
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
        sync_folder(out)

    def write() -> None:
        states = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer)))
        try:
            dcp.save(states, checkpoint_id=aside)
        except CheckpointException as error:
            raise AssayError(_reason(error)) from None

    try:
        first(begin)
        together(write)
        first(commit)
    except AssayError as error:
        first(lambda: shutil.rmtree(aside, ignore_errors=True))
        newest = next(reversed(checkpoints(out)), 0)
        raise AssayError(
            f"the checkpoint of step {step} cannot be written to {out.absolute()} ({error}): make room there and run "
            f"again, it goes on from step {newest}"
        ) from None
    first(lambda: _prune(out, step, keep))


def _prune(out: Path, newest: int, keep: int) -> None:
    older = [path for step, path in checkpoints(out).items() if step < newest]
    for path in older[: max(0, len(older) - keep + 1)]:
        (path / CHECKPOINT).unlink()  # first: half a checkpoint is none
        shutil.rmtree(path, ignore_errors=True)


def load(out: Path, identity: dict[str, Any], model: nn.Module, optimizer: Optimizer) -> int:
    """Load the newest checkpoint, made on any number of ranks; its step, or 0 where there is none.

    Rank 0 chooses, since disks may show different folders to different nodes. The optimizer's settings stay as they
    are: weights and moments are of the checkpoint, rates and decay of pretrain.toml. All ranks call this. Raises
    AssayError for a checkpoint of another plan, model or order of data, or one that cannot be read.
    """
    path = first(lambda: _newest(out, identity))
    if path is None:
        return 0
    weights, state = get_state_dict(model, optimizer)
    settings = copy.deepcopy(state["param_groups"])
    states: dict[str, Any] = {"model": weights, "optimizer": state}

    def read() -> None:
        try:
            dcp.load(states, checkpoint_id=path)
        except CheckpointException as error:
            raise AssayError(_unreadable(path, _reason(error))) from None
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            raise AssayError(_unreadable(path, str(error))) from None

    together(read)
    moments = states["optimizer"] | {"param_groups": settings}
    set_state_dict(model, optimizer, model_state_dict=states["model"], optim_state_dict=moments)
    return int(path.name[5:])


def _newest(out: Path, identity: dict[str, Any]) -> Path | None:
    path = next(reversed(checkpoints(out).values()), None)
    if path is None:
        return None
    try:
        run = json.loads((path / CHECKPOINT).read_text("utf-8"))["run"]
        changed = [name for name in identity if run.get(name) != identity[name]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise AssayError(_unreadable(path, str(error))) from None
    if changed:
        raise AssayError(
            f"the checkpoint {path.absolute()} is of another run, with another {' and '.join(changed)}: train this one "
            "with --out ANOTHER_FOLDER"
        )
    return path


def _unreadable(path: Path, reason: str) -> str:
    said = " ".join(reason.split())[:200]
    return f"the checkpoint {path.absolute()} cannot be read ({said}): delete it to go on from the one before"


def _reason(error: CheckpointException) -> str:
    """What the first rank that failed says."""
    found = [failure[0] for _, failure in sorted(error.failures.items())]
    return " ".join(str(found[0] if found else error).split())[:200]
