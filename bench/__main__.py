"""Measure this machine: `python -m bench [chain|kernels|launch|peers|...] [--mb 100] [--runs 3]`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench import report, text
from planner.report import terminal

WHAT = ("chain", "kernels", "launch", "peers")
LONG = ("appends", "scale", "requests")  # minutes: only where it is asked for
WIDTH = 160  # columns where there is no terminal to ask


def main() -> None:
    """Print tables of what was asked for, or of everything; what was made for it is removed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures of this machine, printed.")
    parser.add_argument("what", nargs="?", choices=WHAT + LONG, help=f"one of them; without it, {', '.join(WHAT)}")
    parser.add_argument("--mb", type=int, default=100, help="megabytes of raw text")
    parser.add_argument("--runs", type=int, default=3, help="times that each is measured; the median is shown")
    parser.add_argument("--appends", type=int, default=100, help="days of `appends`, each measured once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)

    out = Console(width=None if sys.stdout.isatty() else WIDTH)
    machine = report.machine()
    tables: list[report.Table] = []
    with TemporaryDirectory(prefix="assay-bench-") as folder:
        raw = Path(folder, "raw.jsonl")
        source = text.write(raw, given.mb * 1_000_000)
        tokenizer = text.tokenizer(Path(folder))
        memory = f"{machine['memory'] / 1e9:,.0f} GB"
        out.print(f"{machine['processor']}, {machine['cores']} cores, {memory}, Python {machine['python']}.")
        out.print(f"{source} Tokenizer: {tokenizer.name}.")
        out.print(
            "Each append once.\n" if given.what == "appends" else f"Each figure is the median of {given.runs} runs.\n"
        )
        for what in [given.what] if given.what else WHAT:
            runs = given.appends if what == "appends" else given.runs
            for found in import_module(f"bench.{what}").figures(raw, tokenizer, runs):
                tables.append(found)
                terminal.show(out, found.columns, found.rows, found.title)
    if given.json:
        figures = {"machine": machine, "text": source, "tables": {t.title: t.records() for t in tables}}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
