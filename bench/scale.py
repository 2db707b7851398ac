"""How the work grows with the text, and what that makes of corpora that no bench can hold: on paper, from the rates.

Each stage is a process of its own on one core. Deduplication reads no text: it is measured on many documents of which
there is a signature alone, a tenth of them copies.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from bench import text
from bench.chain import ASSAY, CORPUS, STAGES, tokenize
from bench.process import Took, run
from bench.report import Table
from corpora import ids
from corpora.lake import Lake
from corpora.part import Part
from corpora.room import Room
from corpora.schema import SIGNALS, SIGNATURES
from pipelines import exchange

CUTS = (4, 2, 1)  # parts of the text, and of the documents, that are measured
KEYS = 8_000_000  # documents that are deduplicated
PART_ROWS = 1 << 18  # of them in a part
KINDS = {
    "ingest": ("documents", "signals", "signatures"),
    "deduplicate": ("keys", "edges", "findings"),
    "tokenize": ("counts", "ledger", "tokens"),
}
PART_BYTES = 256 << 20  # of raw text in one part of a large corpus
WORKERS = (64, 1024)
FOOTER_BYTES = 24  # of one record batch in the footer of an Arrow file: Arrow's File.fbs, Block
# Documents and bytes of text (its characters, as if each were a byte): arXiv:2303.17564, Table 1. The crawl's documents
# are as long as that table's of C4: 768.3e9 characters, 348.32e6 documents.
CORPORA = {
    "BloombergGPT's": (2_266_390_000, 3_470.0e9),
    "a crawl of 100 TB": (round(100e12 / (768.3e9 / 348.32e6)), 100e12),
}


@dataclass(frozen=True)
class Measured:
    """One amount of work on one core, or on two."""

    size: float
    """Megabytes of raw text, or millions of documents."""
    tokens: float
    """Millions."""
    took: dict[str, Took]
    """By stage."""
    written: dict[str, float]
    """kind -> megabytes of its parts."""


def figures(raw: Path, tokenizer: Path, runs: int) -> Iterator[Table]:
    """Tables of the JSON lines at `raw`: growth, rates, and what they make of corpora on paper."""
    texts = [_text(text.head(raw, raw.stat().st_size // cut - 1), tokenizer, runs, 1) for cut in CUTS]
    keys = [_keys(raw.parent / "lake", KEYS // cut, runs, 1) for cut in CUTS]
    two = _text(raw, tokenizer, runs, 2), _keys(raw.parent / "lake", KEYS, runs, 2)
    yield _growth("raw MB", texts)
    yield _growth("M documents", keys)
    yield _rates("MB", texts, two[0])
    yield _rates("M documents", keys, two[1])
    yield _paper(texts, keys, *_of_a_part(raw, tokenizer))


def _text(raw: Path, tokenizer: Path, runs: int, workers: int) -> Measured:
    lake, found = raw.parent / "lake", {}
    more = ["--lake", lake, "--workers", str(workers)]
    for _ in range(runs):
        shutil.rmtree(lake, ignore_errors=True)
        _run(found, "ingest", [CORPUS, "--raw", raw, *more], workers, raw.parent)
        run([ASSAY, "deduplicate", *more], workers, raw.parent)
        _run(found, "tokenize", [CORPUS, "--tokenizer", tokenizer, *more], workers, raw.parent)
    tokens = sum(row["tokens"] for row in Lake(lake).room(CORPUS).manifest("ledger")["totals"])
    return Measured(raw.stat().st_size / 1e6, tokens / 1e6, _medians(found), _written(lake, "ingest", "tokenize"))


def _keys(lake: Path, documents: int, runs: int, workers: int) -> Measured:
    """A lake that has signals and signatures alone: random hashes, every tenth that of the document before."""
    found: dict[str, list[Took]] = {}
    for _ in range(runs):
        shutil.rmtree(lake, ignore_errors=True)
        with Lake(lake).room(CORPUS).lock("bench") as room:
            parts = [_part(room, begin, min(PART_ROWS, documents - begin)) for begin in range(0, documents, PART_ROWS)]
            room.publish(ingest={"priority": 1, "tasks": [{"parts": parts}], "totals": {"records": documents}})
        _run(found, "deduplicate", ["--lake", lake, "--workers", str(workers)], workers, lake.parent)
    return Measured(documents / 1e6, 0, _medians(found), _written(lake, "deduplicate"))


def _part(room: Room, begin: int, rows: int) -> dict[str, dict]:
    random = np.random.default_rng(begin)
    hashes, ids_ = random.integers(0, 2**64 - 1, (2, 2, rows), np.uint64)
    hashes[:, 1::10] = hashes[:, :-1:10][:, : hashes[:, 1::10].shape[1]]
    doc_id, content_hash = ids.to_hex(*ids_), ids.to_hex(*hashes)
    columns = {"doc_id": doc_id, "n_words": pa.repeat(pa.scalar(500), rows), "content_hash": content_hash}
    found = {"documents": asdict(Part(f"{begin:064x}", rows, 0))}
    for kind, schema in (("signals", SIGNALS), ("signatures", SIGNATURES)):
        writer = room.writer(kind, schema)
        filled = [columns.get(name, pa.nulls(rows, schema.field(name).type)) for name in schema.names]
        writer.write(pa.RecordBatch.from_arrays(filled, schema=schema))
        found[kind] = asdict(room.keep(kind, writer))
    return found


def _run(found: dict[str, list[Took]], stage: str, arguments: list, workers: int, folder: Path) -> None:
    found.setdefault(stage, []).append(run([ASSAY, stage, *arguments], workers, folder))


def _medians(found: dict[str, list[Took]]) -> dict[str, Took]:
    names = ("seconds", "cpu_seconds", "peak_bytes")
    return {stage: Took(*(median(getattr(t, name) for t in took) for name in names)) for stage, took in found.items()}


def _written(lake: Path, *stages: str) -> dict[str, float]:
    kinds = [kind for stage in stages for kind in KINDS[stage]]
    return {kind: sum(path.stat().st_size for path in lake.glob(f"*/{kind}/*")) / 1e6 for kind in kinds}


def _of_a_part(raw: Path, tokenizer: Path) -> tuple[float, float]:
    """Objects of a lake, and bytes of its manifests, for each part: where there are many."""
    lake = raw.parent / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    tokenize(raw, tokenizer, lake, part_mb=1)
    files = [path for path in lake.rglob("*") if path.is_file()]
    n = len(Lake(lake).room(CORPUS).manifest("ledger")["parts"])
    return len(files) / n, sum(path.stat().st_size for path in files if path.parent.name == "manifests") / n


def _growth(unit: str, found: list[Measured]) -> Table:
    rows = [
        [m.size, *(value for took in m.took.values() for value in (took.cpu_seconds, took.peak_bytes / 1e6))]
        for m in found
    ]
    columns = [unit, *(f"{stage}, {what}" for stage in found[0].took for what in ("CPU seconds", "peak MB"))]
    return Table("Growth: each stage on one core, with its start", columns, rows)


def _rates(unit: str, found: list[Measured], two: Measured) -> Table:
    """What one more of a unit takes: the difference of two runs, so that their start is not in it."""
    small, large = found[0], found[-1]
    rows = []
    for stage in large.took:
        hours, written = _seconds(found, stage) / 3600, sum(large.written[kind] for kind in KINDS[stage])
        more = (two.took[stage].peak_bytes - large.took[stage].peak_bytes) / 1e6
        tokens = (large.tokens / large.size / hours) if large.tokens else None
        rows.append([stage, 1 / hours, tokens, written / large.size, more])
    columns = ["stage", f"{unit} per core-hour", "M tokens per core-hour", f"MB written per {unit}"]
    title = f"Rates, from {small.size:,.0f} to {large.size:,.0f} {unit}"
    return Table(title, [*columns, "MB of a second worker"], rows)


def _seconds(found: list[Measured], stage: str) -> float:
    """Processor seconds of one more of the unit."""
    small, large = found[0], found[-1]
    return (large.took[stage].cpu_seconds - small.took[stage].cpu_seconds) / (large.size - small.size)


def _paper(texts: list[Measured], keys: list[Measured], objects: float, manifest_bytes: float) -> Table:
    """The rates times what large corpora have; the exchange as `pipelines.exchange` would cut it."""
    text, rows = texts[-1], []
    for documents, n_bytes in CORPORA.values():
        hours = [_seconds(texts, "ingest") * n_bytes / 1e6, _seconds(keys, "deduplicate") * documents / 1e6]
        hours = [seconds / 3600 for seconds in (*hours, _seconds(texts, "tokenize") * n_bytes / 1e6)]
        parts, n_keys = n_bytes / PART_BYTES, documents * exchange.KEY_BYTES
        ranges = 1 << exchange.range_bits(documents)
        groups = n_keys / max(exchange.RANGE_BYTES, n_keys / ranges)
        findings = (keys[-1].written["edges"] + keys[-1].written["findings"]) / keys[-1].size
        rows.append(
            {
                "documents, M": documents / 1e6,
                "raw, TB": n_bytes / 1e12,
                "tokens, T": text.tokens / text.size * n_bytes / 1e12,
                **{f"{stage}, core-hours": value for stage, value in zip(STAGES, hours)},
                **{f"hours on {n:,} cores": sum(hours) / n for n in WORKERS},
                "lake without keys and edges, TB": sum(text.written.values()) / text.size * n_bytes / 1e12,
                f"parts of {PART_BYTES >> 20} MiB": parts,
                "objects, M": parts * objects / 1e6,
                "manifests, MB": parts * manifest_bytes / 1e6,
                "keys, GB": n_keys / 1e9,
                "edges and findings, GB": findings * documents / 1e9,
                "ranges of keys": ranges,
                "keys of a range, MB": n_keys / ranges / 1e6,
                "reads of keys, M": ranges * groups / 1e6,
                "footers read with them, GB": ranges * groups * ranges * FOOTER_BYTES / 1e9,
            }
        )
    each = [[name, *(row[name] for row in rows)] for name in rows[0]]
    return Table("On paper: the rates above times what is there", ["", *CORPORA], each)
