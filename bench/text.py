"""The text to measure on: real documents where the development data lies beside the project, else invented ones."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import orjson
import pyarrow as pa
import zstandard

from corpora.sample import news
from tokenizer.train import train_bpe

SHARED = Path(__file__).parents[2] / "shared" / "data"
TOKENIZER = SHARED / "tokenizers" / "gpt2.tokenizer.json"
FILES = (
    "news/reuters_financial.jsonl.zst",
    "press/newsworthy.jsonl.zst",
    "press/earnings_calls.jsonl.gz",
    "public/pile/freelaw_scotus.jsonl.zst",
    "public/pile/pile-sample.jsonl.zst",
    "public/pile/pubmedcentral_plos.jsonl.zst",
    "public/c4/c4-sample.json.gz",
    "public/c4/c4-style-web.json.gz",
)
VOCABULARY = 32_768
TRAINING_DOCUMENTS = 4_096


def write(path: Path, n_bytes: int) -> str:
    """Write JSON lines of at least `n_bytes` bytes to `path`; a sentence that says what the text is."""
    texts, source = _texts()
    written = 0
    with path.open("wb") as file:
        for number, (repetition, text) in enumerate(texts, 1):
            line = {"id": f"bench-{number}", "date": "2020-01-01", "title": f"Document {number}", "text": text}
            written += file.write(orjson.dumps(line) + b"\n")
            again = repetition > 0
            if written >= n_bytes:
                break
    repeated = ", then the same again with the number of the repetition put into each" if again else ""
    return f"{written / 1e6:,.1f} MB of JSON lines, {number:,} documents: {source}{repeated}."


def compress(path: Path) -> Path:
    """The file as Zstandard at level 3, beside it."""
    packed = path.with_name(f"{path.name}.zst")
    with path.open("rb") as source, packed.open("wb") as target:
        zstandard.ZstdCompressor(level=3).copy_stream(source, target)
    return packed


def head(path: Path, n_bytes: int) -> Path:
    """The first lines of the file, at least `n_bytes` bytes of them, beside it."""
    cut = path.with_name(f"{n_bytes}-{path.name}")
    with path.open("rb") as source:
        cut.write_bytes(source.read(n_bytes) + source.readline())
    return cut


def tokenizer(folder: Path) -> Path:
    """GPT-2's tokenizer where it is there, else a byte-level BPE trained on some of the text."""
    if TOKENIZER.exists():
        return TOKENIZER
    texts = pa.array((text for (_, text), _ in zip(_texts()[0], range(TRAINING_DOCUMENTS))), pa.large_string())
    path = folder / "tokenizer.json"
    path.write_bytes(train_bpe([texts], VOCABULARY))
    return path


def _texts() -> tuple[Iterator[tuple[int, str]], str]:
    """Texts without end, each with the number of times that all were given before; and where they are from."""
    if not SHARED.exists():
        return ((0, news.article(n).text) for n in count()), "invented by the grammar of the embedded sample"
    files = [file for file in FILES if (SHARED / file).exists()]
    return _repeated(files), f"real documents of {', '.join(files)}"


def _repeated(files: list[str]) -> Iterator[tuple[int, str]]:
    for repetition in count():
        for file in files:
            for text in _read(SHARED / file):
                middle = len(text) // 2
                yield repetition, f"{text[:middle]} {repetition} {text[middle:]}" if repetition else text


def _read(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    unpacked = gzip.decompress(data) if path.suffix == ".gz" else zstandard.decompress(data)
    for line in io.BytesIO(unpacked):
        yield orjson.loads(line)["text"]
