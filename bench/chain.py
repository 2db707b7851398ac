"""Raw JSON lines to tokens and a ledger: `assay tokenize` as a whole process, in a fresh lake, from a cold disk."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import median

from bench import text
from bench.process import Took, forget, run
from bench.report import Table
from pipelines.runners import MODES

ASSAY = Path(sys.executable).with_name("assay")
CORPUS = "news"
STAGES = ("ingest", "deduplicate", "tokenize")


def figures(raw: Path, tokenizer: Path, runs: int) -> Iterator[Table]:
    """Tables of the JSON lines at `raw` through the whole chain; each figure is the median of so many runs."""
    cores = len(os.sched_getaffinity(0))
    yield _fixed(raw, tokenizer, runs)
    yield _whole([raw, text.compress(raw)], raw.stat().st_size, tokenizer, sorted({1, min(2, cores)}), runs)
    yield _stages(raw, tokenizer, min(2, cores), runs)


def tokenize(
    raw: Path, tokenizer: Path, lake: Path, workers: int = 1, runner: str = "threads", part_mb: int = 64, **env: str
) -> Took:
    """`assay tokenize` of the raw file into the lake, kept to as many cores as it has workers."""
    options = ["--lake", lake, "--workers", str(workers), "--runner", runner, "--part-mb", str(part_mb)]
    return run([ASSAY, "tokenize", CORPUS, "--raw", raw, "--tokenizer", tokenizer, *options], workers, raw.parent, env)


def _fixed(raw: Path, tokenizer: Path, runs: int) -> Table:
    """What a run costs however little there is to read."""
    one, lake, kernels = text.head(raw, 1), raw.parent / "lake", raw.parent / "kernels"
    first, later = [], []
    for _ in range(runs):
        shutil.rmtree(kernels, ignore_errors=True)
        for found in (first, later):
            shutil.rmtree(lake, ignore_errors=True)
            found.append(tokenize(one, tokenizer, lake, NUMBA_CACHE_DIR=str(kernels)))
    rows = [["first run of an installation: kernels are compiled", *_medians(first)], ["later", *_medians(later)]]
    return Table("One document, 1 worker", ["", "seconds", "CPU seconds", "peak MB"], rows)


def _whole(raws: list[Path], size: int, tokenizer: Path, workers: list[int], runs: int) -> Table:
    lake = raws[0].parent / "lake"
    rows = []
    for raw, runner, n in product(raws, (*MODES, "dask"), workers):
        first, second = [], []
        for _ in range(runs):
            shutil.rmtree(lake, ignore_errors=True)
            forget(raw)
            first.append(tokenize(raw, tokenizer, lake, n, runner))
            second.append(tokenize(raw, tokenizer, lake, n, runner))
        seconds, cpu, peak = _medians(first)
        rate = size / 1e6 / seconds
        written = sum(path.stat().st_size for path in lake.rglob("*") if path.is_file()) / size
        spread = f"{min(t.seconds for t in first):.1f}-{max(t.seconds for t in first):.1f}"
        rows.append(["".join(raw.suffixes), runner, n, seconds, spread, rate, rate / n, cpu, peak, written])
        rows[-1].append(_medians(second)[0])
    columns = ["raw", "runner", "workers", "seconds", "from-to", "MB/s", "MB/s per core", "CPU seconds", "peak MB"]
    columns += ["written per byte of raw text", "again, seconds"]
    return Table(f"assay tokenize, fresh lake, cold file, {size / 1e6:,.1f} MB of raw text", columns, rows)


def _stages(raw: Path, tokenizer: Path, workers: int, runs: int) -> Table:
    """Each stage by a process of its own, which starts anew."""
    lake, size = raw.parent / "lake", raw.stat().st_size / 1e6
    options = {"ingest": [CORPUS, "--raw", raw], "deduplicate": [], "tokenize": [CORPUS, "--tokenizer", tokenizer]}
    found: dict[str, list[Took]] = {stage: [] for stage in STAGES}
    for _ in range(runs):
        shutil.rmtree(lake, ignore_errors=True)
        forget(raw)
        for stage in STAGES:
            command = [ASSAY, stage, *options[stage], "--lake", lake, "--workers", str(workers)]
            found[stage].append(run(command, workers, raw.parent))
    rows = [[stage, *_medians(took), size / _medians(took)[0]] for stage, took in found.items()]
    columns = ["stage", "seconds", "CPU seconds", "peak MB", "MB/s"]
    return Table(f"Stage by stage, {workers} threads, each with its own start", columns, rows)


def _medians(took: list[Took]) -> list[float]:
    """Seconds, CPU seconds and megabytes at the peak."""
    return [
        median(t.seconds for t in took),
        median(t.cpu_seconds for t in took),
        median(t.peak_bytes for t in took) / 1e6,
    ]
