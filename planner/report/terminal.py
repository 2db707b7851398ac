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

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # C0, C1, and what turns writing around
DIGEST = re.compile(r"[0-9a-f]{64}")
GAP = 2  # characters between two columns
TEXT_WIDTH = 12  # characters of a column of text that are shown before it is folded
MOST_ROWS = 200  # a longer result is cut in the terminal, and said to be


def show(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print a table, or, where it is too wide for the console, each row as a block of its own."""
    as_table = table(columns, rows, title)
    needed = sum(column.min_width + GAP for column in as_table.columns) - GAP
    console.print(as_table if needed <= console.width else expanded(columns, rows, title))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> Table:
    """A table with numbers to the right, in thousands; nothing in title, header or cell is markup.

    A column of text is not folded to less than `TEXT_WIDTH` of its characters, one of numbers not at all.
    """
    shown = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        title=_title(title),
        title_justify="left",
    )
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) and not isinstance(row[index], bool) for row in rows)
        width = max((len(cell(row[index])) for row in rows[:MOST_ROWS]), default=0)
        header = visible(name)
        header = header if len(header) <= max(width, 10) else header.replace("_", "_\n")
        least = max(width if numeric else min(width, TEXT_WIDTH), *(len(part) for part in header.split("\n")))
        justify = "right" if numeric else "left"
        shown.add_column(Text(header), justify=justify, overflow="fold", no_wrap=numeric, min_width=least)
    for row in rows[:MOST_ROWS]:
        shown.add_row(*(Text(cell(value)) for value in row))
    if len(rows) > MOST_ROWS:
        shown.caption = f"{len(rows) - MOST_ROWS:,} more rows"
    return shown


def expanded(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> Table:
    """Rows as blocks of name and value, for tables with more columns than a terminal is wide."""
    shown = Table(box=None, show_header=False, pad_edge=False, title=_title(title), title_justify="left")
    for row in rows[:MOST_ROWS]:
        for name, value in zip(columns, row):
            shown.add_row(Text(visible(name)), Text(cell(value), overflow="fold"))
        shown.add_row("")
    if len(rows) > MOST_ROWS:
        shown.caption = f"{len(rows) - MOST_ROWS:,} more rows"
    return shown


def _title(title: str) -> Text | None:
    return Text(visible(title), "bold") if title else None


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
