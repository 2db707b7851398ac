"""What each kernel does alone, on one core, on batches of the same text, and which share of the chain's it takes."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pyarrow as pa

from bench import text
from bench.process import kept_to
from bench.report import Table
from corpora import ids
from corpora.catalog import Clean
from corpora.part import PartWriter, batches, sha256_of
from corpora.readers import jsonl
from corpora.readers.base import Counts
from corpora.readers.source import Source
from corpora.schema import DOCUMENTS, SIGNALS, TOKENS
from pipelines import documents as documents_kernels
from pipelines.quality import signals
from pipelines.tokenize import TOKEN_ROW_GROUP_BYTES
from tokenizer.encode import Encoder
from tokenizer.identity import load

SLOW_BYTES = 4 << 20  # text for kernels that take seconds for more


@dataclass(frozen=True)
class Kernel:
    """A kernel to be timed."""

    name: str
    work: Callable[[], Any]
    size: int
    """Bytes of raw text that one call works on."""
    in_chain: bool = True
    """Whether it counts as one of those that the chain of a plain file is made of."""


def figures(raw: Path, tokenizer: Path, runs: int) -> Iterator[Table]:
    """One table: the median of so many runs of each kernel, on one core."""
    with kept_to(1):
        found = [(kernel, kernel.size / 1e6 / _seconds(kernel.work, runs)) for kernel in _kernels(raw, tokenizer)]
    total = sum(1 / rate for kernel, rate in found if kernel.in_chain)
    rows = [
        [kernel.name, rate, 100 / rate, f"{1 / rate / total:.1%}" if kernel.in_chain else ""] for kernel, rate in found
    ]
    rows.append(["the chain's together", 1 / total, 100 * total, "100.0%"])
    title = f"Kernels on one core, {raw.stat().st_size / 1e6:,.1f} MB of raw text"
    yield Table(title, ["kernel", "MB/s", "seconds per 100 MB", "share of the chain"], rows)


def _kernels(raw: Path, tokenizer: Path) -> Iterator[Kernel]:
    """Each kernel once what it works on is made."""
    size, folder = raw.stat().st_size, raw.parent
    packed, gzipped = text.compress(raw), folder / "raw.gz"
    gzipped.write_bytes(gzip.compress(raw.read_bytes(), 6))
    yield Kernel("decompress zstd", lambda: _exhaust(Source("raw", str(packed)).blocks()), size, in_chain=False)
    yield Kernel("decompress gzip", lambda: _exhaust(Source("raw", str(gzipped)).blocks()), size, in_chain=False)

    def read() -> Iterator[pa.RecordBatch]:
        return jsonl.read(Source("raw", str(raw)), jsonl.Options(), Counts())

    yield Kernel("read JSON lines", lambda: _exhaust(read()), size)
    records = list(read())
    yield Kernel("clean", lambda: [documents_kernels.clean(b["text"], Clean(), Counter()) for b in records], size)
    yield Kernel("identify: ids, hashes, lengths", lambda: [_identified(b) for b in records], size)
    yield Kernel("  of it: content hashes", lambda: [ids.content_hashes(b["text"]) for b in records], size, False)
    documents = [_identified(batch) for batch in records]
    signals.warm()
    yield Kernel("signals", lambda: [signals.signals(b) for b in documents], size)
    measured = [signals.signals(batch) for batch in documents]
    yield Kernel("row digest", lambda: [documents_kernels.digest(b) for b in documents], size)

    part = folder / "part"
    yield Kernel("write signals", lambda: _write(part, SIGNALS, measured), size)
    yield Kernel("write documents", lambda: _write(part, DOCUMENTS, documents), size)
    yield Kernel("  of it: sha256", lambda: _sha256(part), size, False)
    yield Kernel("read documents", lambda: _read(part), size)

    texts = [batch["text"] for batch in documents]
    tokenizer_json = load(tokenizer)
    exact = Encoder(tokenizer_json, "tokenizers")
    few = texts[0].slice(0, max(1, len(texts[0]) * SLOW_BYTES // max(SLOW_BYTES, texts[0].nbytes)))
    yield Kernel("encode: tokenizers", lambda: exact.encode(few), few.nbytes, False)
    yield Kernel("encode: gigatoken, new", lambda: _encode(Encoder(tokenizer_json, "gigatoken"), texts), size)
    fast = Encoder(tokenizer_json, "gigatoken")
    _encode(fast, texts)
    yield Kernel("encode: gigatoken, words known", lambda: _encode(fast, texts), size, False)

    tokens = [_tokens(batch, ids_of) for batch, ids_of in zip(documents, _encode(fast, texts))]
    yield Kernel("write tokens", lambda: _write(part, TOKENS, tokens, TOKEN_ROW_GROUP_BYTES), size)
    yield Kernel("  of it: sha256", lambda: _sha256(part), size, False)


def _seconds(work: Callable[[], Any], runs: int) -> float:
    took = []
    for _ in range(runs):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return median(took)


def _exhaust(stream: Iterator[Any]) -> None:
    for _ in stream:
        pass


def _identified(records: pa.RecordBatch) -> pa.RecordBatch:
    return documents_kernels.identify(records, "news", "a licence", "raw")


def _write(path: Path, schema: pa.Schema, rows: list[pa.RecordBatch], *row_group_bytes: int) -> None:
    writer = PartWriter(path, schema, *row_group_bytes)
    for batch in rows:
        writer.write(batch)
    writer.close()


def _read(path: Path) -> None:
    with path.open("rb") as file:
        _exhaust(batches(file))


def _sha256(path: Path) -> None:
    with path.open("rb") as file:
        sha256_of(file)


def _encode(encoder: Encoder, texts: list[pa.Array]) -> list[pa.ListArray]:
    return [encoder.encode(batch) for batch in texts]


def _tokens(documents: pa.RecordBatch, ids_of: pa.ListArray) -> pa.RecordBatch:
    n = documents.num_rows
    split = pa.repeat(pa.scalar("train", pa.large_string()), n)
    n_tokens = pa.compute.list_value_length(ids_of).cast(pa.int64())
    columns = [documents["doc_id"], documents["published"], split, n_tokens, ids_of]
    return pa.RecordBatch.from_arrays(columns, schema=TOKENS)
