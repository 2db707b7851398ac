"""Sourced figures as CSV files, each row with its citation: published tables, GPUs, utilisation, known models."""

from __future__ import annotations

import csv
from pathlib import Path

FACTS = Path(__file__).parent


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `planner/facts/NAME.csv`, in the file's order."""
    with (FACTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
