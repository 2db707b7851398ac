"""What one rank does for all, or all do together: an error of one is every rank's, so that none waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

from corpora.errors import AssayError

Outcome = TypeVar("Outcome")


def first(work: Callable[[], Outcome]) -> Outcome:
    """What `work` gives on rank 0, on all ranks; so do AssayErrors. All ranks call this."""
    said = [None, None]
    if dist.get_rank() == 0:
        said = list(_tried(work))
    dist.broadcast_object_list(said)
    outcome, error = said
    if error is not None:
        raise AssayError(error)
    return outcome


def together(work: Callable[[], Outcome]) -> Outcome:
    """What `work` gives on this rank; an AssayError of any rank is raised on all. All ranks call this."""
    outcome, error = _tried(work)
    errors: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(errors, error)
    for error in errors:
        if error is not None:
            raise AssayError(error)
    return outcome


def _tried(work: Callable[[], Outcome]) -> tuple[Outcome | None, str | None]:
    try:
        return work(), None
    except AssayError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
