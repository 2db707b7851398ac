"""Writing the files that people take away: each whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from corpora.errors import AssayError


def put(path: Path, content: bytes, executable: bool = False) -> Path:
    """Write a file aside and rename it, its folder made where it is not yet. Raises AssayError where that fails."""
    aside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
        aside.chmod(0o755 if executable else 0o644)
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise AssayError(f"{path} cannot be written: {error.strerror}") from None
    return path
