"""Tables for a terminal: text from corpora is shown, never obeyed."""

from __future__ import annotations

import datetime
import io

import pytest
from rich.console import Console

from planner.report.terminal import MOST_ROWS, cell, expanded, progress, show


def _printed(*arguments, width: int = 100, terminal: bool = False) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, legacy_windows=False), *arguments)
    return file.getvalue()


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred alert\x1b[0m\x07", r"\x1b[31mred alert\x1b[0m\x07"),  # what the sample plants
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),  # CSI in one byte
        ("one\rtwo\nthree\tfour", r"one\rtwo\nthree\tfour"),
        ("\x00\x7f", r"\x00\x7f"),
    ],
)
def test_control_characters_are_shown(hostile: str, shown: str) -> None:
    assert cell(hostile) == shown
    for where in ([["title"], [[hostile]]], [[hostile], [["x" * 50]]], [["title"], [["x" * 50]], hostile]):
        printed = _printed(*where)
        assert shown in printed
        assert not set(printed) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))


@pytest.mark.parametrize("text", ["[bold]not bold[/bold]", "[link=https://example.com]here[/link]", "[/]", ":smile:"])
def test_markup_is_inert(text: str) -> None:
    for where in ([["title"], [[text]]], [[text], [["x" * 50]]], [["title"], [["x" * 50]], text]):
        assert text in _printed(*where)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (709_000_000_000, "709,000,000,000"),
        (-1234, "-1,234"),
        (51.273, "51.27"),
        (1234567.891, "1,234,567.89"),
        (float("nan"), "nan"),
        (datetime.date(2022, 7, 31), "2022-07-31"),
        ("a" * 64, "aaaaaaaaaaaa…"),  # a fingerprint
        ("g" * 64, "g" * 64),
        (["a", 1], "['a', 1]"),
    ],
)
def test_a_value_as_people_read_it(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_numbers_stand_to_the_right() -> None:
    lines = _printed(["corpus", "tokens"], [["web", 1], ["wikipedia", 1_000_000]]).splitlines()
    one, million = (next(line.rstrip() for line in lines if name in line) for name in ("web", "wikipedia"))
    assert one.endswith("        1")
    assert million.endswith("1,000,000")
    assert len(one) == len(million)


def test_cut_rows_are_said() -> None:
    rows = [[f"row {n}"] for n in range(MOST_ROWS + 1234)]
    printed = _printed(["name"], rows)
    assert "1,234 more rows" in " ".join(printed.split())
    assert f"row {MOST_ROWS - 1}" in printed
    assert f"row {MOST_ROWS} " not in printed
    assert "more" not in _printed(["name"], rows[:MOST_ROWS])


def test_long_text_is_folded_whole() -> None:
    text = "".join(chr(ord("a") + n % 26) for n in range(300))
    printed = _printed(["title"], [[text]], width=60)
    assert "".join(printed.split()).endswith(text)
    assert max(map(len, printed.splitlines())) <= 60


def test_no_rows() -> None:
    assert "corpus" in _printed(["corpus"], [])


def test_progress_is_quiet_off_a_terminal() -> None:
    file = io.StringIO()
    with progress(Console(file=file, force_terminal=False)) as show:
        show("ingest", 1, 2)
    assert file.getvalue() == ""


def test_progress_in_a_terminal_names_the_stage() -> None:
    file = io.StringIO()
    with progress(Console(file=file, force_terminal=True, width=80, legacy_windows=False)) as show:
        show("ingest", 0, 2_000_000)
        show("ingest", 2_000_000, 2_000_000)
    assert "ingest" in file.getvalue()
    assert "2.0/2.0 MB" in file.getvalue()


def test_a_table_that_is_too_wide_is_printed_row_by_row() -> None:
    columns = [f"column_{i}" for i in range(12)]
    rows = [[10_000_000 + i for i in range(12)], ["\x1b[2J[bold]x[/bold]"] * 12]
    wide, narrow = _printed(columns, rows, "a title", width=300), _printed(columns, rows, "a title", width=60)
    assert "column_3   10,000,003" in narrow and "column_3   10,000,003" not in wide
    assert narrow.count("column_11") == 2 and "a title" in narrow
    assert r"\x1b[2J[bold]x[/bold]" in narrow and "\x1b" not in narrow
    assert max(map(len, narrow.splitlines())) <= 60


def test_blocks_beyond_the_most_are_said() -> None:
    assert expanded(["a"], [[1]] * (MOST_ROWS + 3)).caption == "3 more rows"
