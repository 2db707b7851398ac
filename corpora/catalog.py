"""What the corpora are: `corpora/*.toml`, the user's own in `assay.d/corpora/` before the built-in ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpora import config
from corpora.config import build, read, take_tables
from corpora.errors import ConfigError
from corpora.lake import DUPLICATES, PINS, TOKENIZER
from corpora.readers import FORMATS, reader

BUILT_IN = Path(__file__).parent
OWN = Path("assay.d/corpora")


@dataclass(frozen=True)
class Input:
    """One kind of raw files that a corpus is made of."""

    format: str
    """Which reader reads them."""
    raw: str = "**"
    """Glob of the files, relative to the corpus root `data/raw/<corpus>`; `../filings/**` are another corpus's."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the reader."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} has no reader; there are {', '.join(FORMATS)}")

    def reader_options(self, where: str) -> Any:
        """The reader's `Options`; ConfigError, naming `where`, for one that it has not."""
        return build(reader(self.format).Options, self.options, f"{where} [input.options]")


@dataclass(frozen=True)
class Clean:
    """What is changed in every text when it is ingested; part of the ingest's hash, and counted."""

    newlines: bool = True
    """CRLF and CR become LF."""
    control: bool = True
    """C0 control characters other than tab and newline, and DEL, are removed: NULs and terminal escapes among them."""


@dataclass(frozen=True)
class Corpus:
    """One corpus as its TOML file describes it."""

    name: str
    """Name of the file, of the raw folder and of the folder in the lake."""
    description: str
    """One line for people."""
    group: str
    """What mixes group by: financial or public."""
    license: str
    """Licence or terms of documents whose record names none."""
    priority: int
    """Of equal documents the one in the corpus of the lowest priority number is kept."""
    profile: str
    """Quality profile that decides what is dropped."""
    inputs: tuple[Input, ...]
    """Where the documents come from."""
    clean: Clean = Clean()
    """What is changed in the text."""


def names() -> list[str]:
    """Names of all corpora, the user's own included."""
    return config.names((OWN, BUILT_IN))


def load(name: str) -> Corpus:
    """The corpus of that name.

    Raises ConfigError for an unknown name (with the nearest ones), one that the lake needs for itself, or a file that
    does not describe a corpus.
    """
    if name in (DUPLICATES, TOKENIZER, PINS):
        raise ConfigError(f"no corpus can be named {name!r}: the lake has a folder of that name for itself")
    path = config.locate("corpus", name, (OWN, BUILT_IN))
    table = read(path)
    for key in ("name", "inputs"):
        if key in table:
            raise ConfigError(f"{path}: unknown key {key!r}; a corpus has the name of its file, and [[input]]")
    table["inputs"] = [build(Input, entry, f"{path} [[input]]") for entry in take_tables(table, "input", str(path))]
    table["clean"] = build(Clean, table.get("clean", {}), f"{path} [clean]")
    corpus = build(Corpus, {"name": name, **table}, str(path))
    if not corpus.inputs:
        raise ConfigError(f"{path}: [[input]] is missing: where does {name} come from?")
    for entry in corpus.inputs:
        entry.reader_options(str(path))
    return corpus
