"""What planning costs as a whole process, and how fast the loader of a launch reads, on one core."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pyarrow as pa

from bench.process import kept_to, run
from bench.report import Table
from corpora.lake import Lake
from corpora.part import Part
from corpora.readers import jsonl
from corpora.readers.base import Counts
from corpora.readers.source import Source as RawFile
from corpora.schema import TOKENS
from pipelines.tokenize import TOKEN_ROW_GROUP_BYTES
from planner.launch.loader import Loader, order
from planner.launch.parts import training_tokens
from planner.launch.settings import Data, Model, Optimizer, PlanName, Run, Schedule, Settings, Source, TokenPart
from tokenizer.encode import Encoder
from tokenizer.identity import load, vocabulary

ASSAY = Path(sys.executable).parent / "assay"
SEQUENCE, BATCH, RANKS = 2_048, 64, 64
ORDERED = 1_000_000  # rows
BLOOMBERGGPT = [4201, 531, 204, 121, 70, 2590, 1948, 335]  # shares of arXiv:2303.17564, Table 1, in 1e-4
SUPPLY = "source,group,documents,tokens\nweb,financial,1582500000,297.8B\nc4,public,348320000,138.1B\n"
PLAN = ["plan", "--supply", "supply.csv", "--gpu", "a100-40gb", "--gpu-hours", "1.3e6"]


def figures(raw: Path, tokenizer: Path, runs: int) -> Iterator[Table]:
    """Two tables: the commands, each the median of so many runs, and the loader on the tokens of the raw text."""
    folder = raw.parent
    (folder / "supply.csv").write_text(SUPPLY)
    rows = []
    for name, arguments in {"assay plan --help": ["plan", "--help"], "assay plan --supply FILE": PLAN}.items():
        took = [run([ASSAY, *arguments], 1, folder).seconds for _ in range(runs + 1)][1:]
        rows.append([name, median(took)])
    yield Table("Planning, as a whole process on one core", ["command", "seconds"], rows)

    with kept_to(1):
        lake, part, tokens = _lake(folder / "launch-lake", raw, tokenizer)
        settings = _settings(lake, tokens, vocabulary(load(tokenizer)))
        listed = TokenPart(**asdict(part), groups=training_tokens(lake.room("news"), part.sha256))
        source = Source("news", "financial", 1.0, tokens, tokens, "ledger", (listed,))

        def read(rank: int, world: int) -> None:
            deque(Loader(settings, [source], rank, world).batches(), maxlen=0)

        def last() -> None:
            next(Loader(settings, [source]).batches(settings.schedule.steps - 1))

        shares = [share * ORDERED // sum(BLOOMBERGGPT) for share in BLOOMBERGGPT]
        planned = settings.schedule.steps * BATCH * SEQUENCE
        found = [
            ["read every row: 1 rank", planned, _seconds(lambda: read(0, 1), runs), "tokens"],
            [
                f"read a slice of each batch: 1 of {RANKS} ranks",
                planned,
                _seconds(lambda: read(0, RANKS), runs),
                "tokens",
            ],
            ["go on from the last step", planned, _seconds(last, runs), "tokens"],
            ["order the rows of 8 sources", sum(shares), _seconds(lambda: _order(shares), runs), "rows"],
        ]
    rows = [[what, seconds, size / seconds / 1e6, f"M {unit}/s"] for what, size, seconds, unit in found]
    title = f"The loader on one core: {planned:,} tokens of one part, rows of {SEQUENCE:,}, batches of {BATCH}"
    yield Table(title, ["what", "seconds", "rate", "unit"], rows)


def _lake(folder: Path, raw: Path, tokenizer: Path) -> tuple[Lake, Part, int]:
    """A lake with the tokens of the raw text in one part; training tokens in it."""
    lake, encoder, tokens = Lake(folder), Encoder(load(tokenizer), "gigatoken"), 0
    room = lake.room("news")
    with room.lock("bench"):
        writer = room.writer("tokens", TOKENS, row_group_bytes=TOKEN_ROW_GROUP_BYTES)
        for batch in jsonl.read(RawFile("raw", str(raw)), jsonl.Options(), Counts()):
            ids = encoder.encode(batch["text"])
            lengths = pa.compute.list_value_length(ids).cast(pa.int64())
            tokens += pa.compute.sum(lengths).as_py() + len(ids)
            doc_ids = pa.array([f"{row:032x}" for row in range(len(ids))], pa.large_string())
            split = pa.repeat(pa.scalar("train", pa.large_string()), len(ids))
            columns = [doc_ids, pa.nulls(len(ids), pa.date32()), split, lengths, ids]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=TOKENS))
        return lake, room.keep("tokens", writer), tokens


def _settings(lake: Lake, tokens: int, ids: int) -> Settings:
    return Settings(
        plan=PlanName("bench", "0" * 64),
        model=Model(layers=1, width=64, heads=1, head_size=64, ffn=256, vocabulary=ids + 1),
        data=Data(lake=lake.url, manifest="", end_of_document=ids, sequence=SEQUENCE, seed=0),
        schedule=Schedule(
            steps=tokens // (BATCH * SEQUENCE), batch=BATCH, warmup_steps=1, peak_rate=1e-3, final_rate=1e-4
        ),
        optimizer=Optimizer(beta1=0.9, beta2=0.95, weight_decay=0.1, clip=1.0),
        run=Run(micro_batch=1, checkpoint_every=1, keep=1, seed=0),
    )


def _order(rows: list[int]) -> np.ndarray:
    return np.concatenate(list(order(rows, 4_096)))


def _seconds(work: Callable[[], object], runs: int) -> float:
    """Median of so many runs, after one that compiles and reads what the others find."""
    took = []
    for _ in range(runs + 1):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return median(took[1:])
