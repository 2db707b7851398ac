"""A small project with raw files, a tokenizer, and a way to run the stages on it in this process."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from corpora import catalog
from corpora.lake import Lake
from pipelines import chain, runners
from tokenizer.train import train_bpe

WORDS = "the market rose after earnings beat what analysts of the bank had expected in a quarter of rates"


def prose(seed: int, n_words: int = 80) -> str:
    """A text that every rule of the base profile keeps, another for every seed."""
    words = WORDS.split()
    return (
        " ".join(f"{words[(seed * 7 + i * (seed % 5 + 1)) % len(words)]}" for i in range(n_words)) + f" number {seed}."
    )


@dataclass
class Project:
    """A folder with raw files and a lake; or a bucket with both, and raw files are written in the folder first."""

    folder: Path
    tokenizer: Path
    said: list[str] = field(default_factory=list)
    bucket: str = ""

    @property
    def lake(self) -> Lake:
        return Lake(f"{self.bucket or self.folder}/lake")

    def upload(self) -> None:
        """Put the raw files into the bucket."""
        fs = fsspec.filesystem("s3")
        fs.put(f"{self.folder}/data/raw", f"{self.bucket}/data/raw", recursive=True)

    def write(self, corpus: str, name: str, texts: list[str | dict], end: bytes = b"") -> Path:
        """A JSON Lines file of a corpus, gzipped when its name says so."""
        path = self.folder / "data" / "raw" / corpus / name
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [{"id": str(i), "text": t} if isinstance(t, str) else t for i, t in enumerate(texts)]
        data = b"".join(json.dumps(record).encode() + b"\n" for record in records) + end
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return path

    def setup(self, workers: int = 1, runner: str = "threads", scheduler: str | None = None, **options) -> chain.Setup:
        where = runners.of(runner, workers, scheduler)
        return chain.Setup(where, lambda *progress: None, self.said.append, **options)

    def ingest(self, corpus: str, *raw: str, **options):
        wanted = catalog.load(corpus)
        files = chain.raw_of(wanted, raw or [f"{self.bucket or self.folder}/data/raw/{corpus}"], None)
        return chain.run_ingest(self.lake, wanted, files, self.setup(**options))

    def tokenize(self, *corpora: str, **options) -> None:
        """What `assay tokenize` does after the ingest."""
        setup = self.setup(**options)
        chain.run_deduplicate(self.lake, setup)
        tokenizer_json = self.tokenizer and self.tokenizer.read_bytes()
        in_force = chain.run_tokenizer(self.lake, tokenizer_json, setup)
        chain.run_tokenize(self.lake, corpora or self.lake.corpora(), in_force, setup)

    def ledger(self, corpus: str) -> list[dict]:
        """Rows of a corpus's ledger, in order."""
        room = self.lake.room(corpus)
        parts = [part["ledger"]["sha256"] for part in room.manifest("ledger")["parts"]]
        return [row for sha256 in parts for batch in room.read("ledger", sha256) for row in batch.to_pylist()]

    def outcomes(self, corpus: str) -> dict[str, int]:
        """Documents per outcome, from the rows."""
        rows = self.ledger(corpus)
        return {outcome: n for outcome in ("quarantined", "dropped", "duplicate", "kept")
                if (n := sum(row["outcome"] == outcome for row in rows))}  # fmt: skip

    def published(self) -> dict[str, bytes]:
        """Name -> bytes of all in the lake that must not depend on where, when and by how many workers it was made."""
        fs, root = self.lake.fs, self.lake.root
        names = [path.removeprefix(f"{root}/") for path in sorted(fs.find(root))]
        notes = re.compile(r"(.*/)?(receipts/.*|\.lock|lock/\d+|run\.json|quarantine\.tsv)")
        return {name: fs.cat_file(f"{root}/{name}") for name in names if not notes.fullmatch(name)}

    def contents(self) -> dict[str, bytes]:
        """`published` but for the catalog: a cache, with absolute paths."""
        return {n: data for n, data in self.published().items() if n not in ("catalog.duckdb", ".catalog.lock")}

    prose = staticmethod(prose)


class Runs:
    """Starts runs in process groups of their own, and kills them."""

    def __init__(self, server: subprocess.Popen) -> None:
        self.server, self.groups = server, []

    @classmethod
    @contextlib.contextmanager
    def served(cls) -> Iterator[Runs]:
        """A process that starts runs, with this one's environment as it is now."""
        command = [sys.executable, Path(__file__).parent / "runs.py"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            yield cls(server)
            server.stdin.close()

    def start(self, project: Project, runner: str) -> int:
        self.server.stdin.write(f"{runner}\t{project.tokenizer}\t{project.folder}\t{project.bucket}\n")
        self.server.stdin.flush()
        self.groups.append(int(self.server.stdout.readline()))
        return self.groups[-1]

    def end(self) -> int:
        """Wait for the run; its exit code."""
        return int(self.server.stdout.readline())

    def all_gone(self) -> bool:
        """Whether no process of any run is left."""
        for group in self.groups:
            try:
                os.killpg(group, 0)
                return False
            except ProcessLookupError:
                pass
        return True


@pytest.fixture(scope="session")
def serve_runs() -> Callable[[], contextlib.AbstractContextManager[Runs]]:
    """Makes a process that starts runs."""
    return Runs.served


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_bpe([pa.array([prose(i) for i in range(50)], pa.large_string())], 400))
    return path


@pytest.fixture(scope="session")
def project_in(tokenizer_file: Path) -> Callable[[Path], Project]:
    """Makes the project of a folder."""
    return lambda folder: Project(folder, tokenizer_file)


@pytest.fixture
def project(tmp_path: Path, tokenizer_file: Path) -> Project:
    return Project(tmp_path, tokenizer_file)


@pytest.fixture
def new_project(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Callable[[], Project]:
    """Makes further projects, each in a folder of its own."""
    return lambda: Project(tmp_path_factory.mktemp("project"), tokenizer_file)
