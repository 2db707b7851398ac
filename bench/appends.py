"""What one more day costs a lake that has grown for many: bytes, files and seconds of an append, the first to the last.

All in this process, with one worker: the start of a process is not in it, and every byte is of the append.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import mean
from time import perf_counter

from bench.report import Table
from corpora import catalog
from corpora.lake import Lake
from pipelines import chain, tokenizer_in_force
from pipelines.quality import profile
from pipelines.runners import Local
from planner import ledger

CORPUS = "news"
FILES = 2_000  # small files of the lake before the first append
DAY = 20  # files of an append
TEN = 10  # appends that a row of the table is the mean of: a group of parts is rewritten until it is full


def figures(raw: Path, tokenizer: Path, appends: int) -> Iterator[Table]:
    """One table: so many appends of a day's files, cut from the JSON lines at `raw` as all files are."""
    folder, lake = raw.parent / "days", Lake(raw.parent / "lake")
    tokenizer_json = tokenizer_in_force.load(tokenizer)
    with raw.open("rb") as lines:
        each = sum(1 for _ in lines) // (FILES + DAY * appends)
        if not each:
            raise SystemExit(f"{FILES + DAY * appends:,} files need as many documents: say a larger --mb")
        lines.seek(0)
        _write(lines, folder, 0, FILES, each)
        _append(lake, folder, tokenizer_json)
        rows = []
        for day in range(1, appends + 1):
            size = _write(lines, folder, FILES + DAY * (day - 1), DAY, each)
            before, io, began = _state(lake), _io(), perf_counter()
            _append(lake, folder, tokenizer_json)
            seconds, read, written = perf_counter() - began, *(b - a for a, b in zip(io, _io()))
            files = len(_state(lake) - before)
            rows.append([size / 1e3, read / 1e3, written / 1e3, files, seconds])
    tens = [(first, rows[first : first + TEN]) for first in range(0, appends, TEN)]
    means = [[f"{first + 1}-{first + len(of)}", *map(mean, zip(*of))] for first, of in tens]
    columns = ["appends", "raw kB", "kB read", "kB written", "files written", "seconds"]
    yield Table(f"Appends of {DAY} files to a lake of {FILES:,} files: means of {TEN}", columns, means)


def _append(lake: Lake, folder: Path, tokenizer_json: bytes) -> None:
    """What `assay tokenize` does."""
    setup = chain.Setup(Local(workers=1), lambda *progress: None, lambda sentence: None)
    wanted = catalog.load(CORPUS)
    chain.run_ingest(lake, wanted, chain.raw_of(wanted, [str(folder)], None), setup)
    chain.run_deduplicate(lake, setup)
    chain.run_tokenize(lake, [CORPUS], chain.run_tokenizer(lake, tokenizer_json, setup), setup)
    ledger.refresh(lake, {name: found.fingerprint for name, found in profile.of_lake(lake).items()})


def _write(lines: Iterator[bytes], folder: Path, first: int, files: int, each: int) -> int:
    """Write the next lines as files of so many lines each; the bytes written."""
    folder.mkdir(exist_ok=True)
    return sum(
        (folder / f"{number:06}.jsonl").write_bytes(b"".join(islice(lines, each)))
        for number in range(first, first + files)
    )


def _state(lake: Lake) -> set[tuple[str, int]]:
    """Every file of the lake with its time: what is not in the state before was written since."""
    return {(str(path), path.stat().st_mtime_ns) for path in Path(lake.root).rglob("*") if path.is_file()}


def _io() -> tuple[int, int]:
    """Bytes that this process has read and written so far, page cache or not."""
    counted = dict(line.split(": ") for line in islice(Path("/proc/self/io").read_text().splitlines(), 2))
    return int(counted["rchar"]), int(counted["wchar"])
