"""Queries from a terminal, on the views of a lake."""

from __future__ import annotations

import duckdb
from rich.console import Console

from planner.report.terminal import show


def answer(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[list[str], list[tuple]]:
    """Columns and rows of what a query gives; neither where it holds no statement."""
    result = connection.execute(query)
    return ([column[0] for column in result.description], result.fetchall()) if result else ([], [])


def said(error: duckdb.Error) -> str:
    """What was wrong with a query, and of a part that is not there why."""
    if isinstance(error, duckdb.IOException) and "/part-" in str(error):
        return (
            f"{str(error).splitlines()[0]}: the lake was changed and swept since it was opened, so open it again; "
            "where that does not help, `assay reconcile` names what is lost"
        )
    return str(error)


def run(connection: duckdb.DuckDBPyConnection, out: Console, err: Console) -> None:
    """Read queries, each ended by a semicolon, and print what they give, until the end of input."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input("assay> " if not lines else "  ...> "))
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if not lines[-1].rstrip().endswith(";"):
            continue
        try:
            show(out, *answer(connection, "\n".join(lines)))
        except duckdb.Error as error:
            err.print(said(error), markup=False, soft_wrap=True)
        lines = []
