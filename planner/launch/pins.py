"""Pins: what a launch folder needs of the lake, noted there, so that none of it is deleted."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from corpora.errors import AssayError
from corpora.garbage import PIN_FORMAT
from corpora.lake import PINS, Lake


def name(folder: Path) -> str:
    """File name of the one pin of a launch folder of this machine."""
    return sha256(f"{socket.gethostname()}:{folder.resolve()}".encode()).hexdigest() + ".json"


@contextlib.contextmanager
def pinned(lake: Lake, folder: Path, content: dict[str, Any], say: Callable[[str], None]) -> Iterator[None]:
    """Pin what a launch folder needs before it is looked at; where writing the folder fails, all is as it was.

    A lake that cannot be written is told to `say`, and launched.
    """
    pin, room = name(folder), lake.room(PINS)
    content = {"format": PIN_FORMAT, "host": socket.gethostname()} | content
    try:
        before = lake.read_json(f"{PINS}/{pin}")
        with room.lock("launch"):
            room.write_json(pin, content)
    except OSError as error:
        say(f"the parts could not be pinned in {room.root} ({error.strerror}): keep them there until the run is over")
        yield
        return
    try:
        yield
    except BaseException:
        # A pin that stays by mistake keeps parts too long, no more: what went wrong first is what to say.
        with contextlib.suppress(OSError, AssayError), room.lock("launch"):
            if before is None:
                room.remove(pin)
            else:
                room.write_json(pin, before)
        raise
