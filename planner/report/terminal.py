"""Tables and progress in a terminal. Text from corpora is untrusted: control characters are shown, not obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_ROWS = 200  # a longer result is cut in the terminal, and said to be


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> Table:
    """A table with numbers to the right, in thousands; nothing in title, header or cell is markup."""
    shown = Table(box=SIMPLE_HEAD, title=Text(visible(title), "bold") if title else None, title_justify="left")
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) and not isinstance(row[index], bool) for row in rows)
        width = max((len(cell(row[index])) for row in rows), default=0)
        header = visible(name)
        header = header if len(header) <= max(width, 10) else header.replace("_", "_\n")
        shown.add_column(Text(header), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows[:MOST_ROWS]:
        shown.add_row(*(Text(cell(value)) for value in row))
    if len(rows) > MOST_ROWS:
        shown.caption = f"{len(rows) - MOST_ROWS:,} more rows"
    return shown


def cell(value: Any) -> str:
    """One value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if DIGEST.fullmatch(str(value)):
        return f"{value[:12]}…"
    return visible(str(value))


def visible(text: str) -> str:
    """A text whose control characters are seen, as Python writes them."""
    return CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


@contextmanager
def progress(console: Console) -> Iterator[Any]:
    """A function `show(stage, done, total)` in bytes: one bar per stage with rate and ETA, quiet off a terminal."""
    if not console.is_terminal:
        yield lambda stage, done, total: None
        return
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show
