"""The same text, tokenizer and core given to the usual way and to `assay tokenize`, which also measures and accounts.

A per-document pipeline such as datatrove is no dependency: `docs/design.md` has the figure of such tools.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import text
from bench.chain import tokenize
from bench.process import Took, run
from bench.report import Table

USUAL = Path(__file__).with_name("usual.py")
MOST_BYTES = 20_000_000  # of the text: the usual way makes one to three megabytes a second


def figures(raw: Path, tokenizer: Path, runs: int) -> Iterator[Table]:
    """One table: each way on one core, as a whole process; ours also on all the text: its start weighs less."""
    some = text.head(raw, min(MOST_BYTES, raw.stat().st_size))
    rows = []
    for name, way, file in (
        ("datasets + tokenizers", _usual, some),
        ("assay tokenize", _assay, some),
        ("assay tokenize", _assay, raw),
    ):
        size, seconds = file.stat().st_size / 1e6, median(way(file, tokenizer).seconds for _ in range(runs))
        rows.append([name, size, seconds, size / seconds])
    rows = [[*row, row[-1] / rows[0][-1]] for row in rows]
    yield Table("Beside the usual way, one core", ["", "MB of raw text", "seconds", "MB/s", "ratio"], rows)


def _usual(raw: Path, tokenizer: Path) -> Took:
    cache = raw.parent / "hugging-face"
    shutil.rmtree(cache, ignore_errors=True)
    offline = {
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return run([sys.executable, USUAL, raw, tokenizer, cache, cache / "tokens.parquet"], 1, raw.parent, offline)


def _assay(raw: Path, tokenizer: Path) -> Took:
    lake = raw.parent / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    return tokenize(raw, tokenizer, lake)
