"""Supply: what there is to train on, from a lake or from a table that someone wrote before any data was there."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from corpora.errors import AssayError, ConfigError
from corpora.lake import Lake
from planner import ledger, units
from planner.schema import Group, Source, Supply
from tokenizer import identity

NEEDED = ("source", "group", "documents", "tokens")
OPTIONAL = ("characters", "tokenizer", "known", "citation")
KNOWN = ("measured", "estimated", "given")


def of_lake(lake: Lake, profiles: Mapping[str, str]) -> Supply:
    """What the corpora of a lake hold, as the view `supply` says it; no row is read.

    `profiles`: fingerprint of each corpus's profile as it is now, to tell which corpora are stale. Raises AssayError,
    naming the command that helps, for a stale corpus, the sample beside real data, or counts of two tokenizers.
    """
    with ledger.connect(lake, profiles) as connection:
        found = connection.execute("FROM supply")
        rows = [dict(zip((column[0] for column in found.description), row)) for row in found.fetchall()]
    if not rows:
        raise AssayError(f"there is nothing in {lake.url} yet: `assay tokenize CORPUS` puts a corpus there")
    samples = sorted(row["source"] for row in rows if row["sample"])
    if samples and len(samples) < len(rows):
        raise AssayError(
            f"{lake.url} holds the embedded sample ({', '.join(samples)}) beside real data; the two are never mixed: "
            f"`assay tokenize CORPUS --lake OTHER` puts real data into a lake of its own"
        )
    fresh = f"`assay tokenize --all {lake.option}`"
    tokenizers = sorted({row["tokenizer"] for row in rows if row["tokenizer"]})
    if len(tokenizers) > 1:
        raise AssayError(
            f"{lake.url} holds counts of {len(tokenizers)} tokenizers, which do not add: {fresh} counts all with one"
        )
    if stale := [
        f"{row['source']} ({row['state'].removeprefix('stale: ')})" for row in rows if row["state"] != "current"
    ]:
        raise AssayError(f"stale: {units.some(stale, 3)}; {fresh} brings all up to date")
    fields = Source.model_fields.keys()
    return _supply(
        [Source(**{name: value for name, value in row.items() if name in fields}) for row in rows],
        origin=lake.url,
        lake=True,
        sample=bool(samples),
        provisional=any(row["provisional"] for row in rows),
        vocabulary=identity.vocabulary(lake.tokenizer_json(tokenizers[0])),
    )


def of_csv(path: Path) -> Supply:
    """What a table says there is: a CSV file with the columns `NEEDED` and any of `OPTIONAL`.

    Counts may be written as 297.8B or 2.978e11. Raises ConfigError, naming the line, for a column or a value that
    cannot be meant, and AssayError for counts of two tokenizers.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is no CSV file: {error}") from None
    except FileNotFoundError:
        raise ConfigError(f"there is no supply file {path}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder: name the supply file in it") from None
    if len(columns) == 1 and ";" in columns[0]:
        raise ConfigError(f"{path}: its columns are separated by semicolons; write commas")
    if missing := [name for name in NEEDED if name not in columns]:
        raise ConfigError(f"{path}: the column {missing[0]!r} is missing; needed are {', '.join(NEEDED)}")
    if unknown := [name for name in columns if name not in NEEDED + OPTIONAL]:
        raise ConfigError(f"{path}: unknown column {unknown[0]!r}; there are {', '.join(NEEDED + OPTIONAL)}")
    if twice := [name for name, times in Counter(columns).items() if times > 1]:
        raise ConfigError(f"{path}: the column {twice[0]!r} is there twice")
    sources = [_source(columns, row, f"{path}, line {line}") for line, row in lines]
    if twice := [name for name, times in Counter(source.source for source in sources).items() if times > 1]:
        raise ConfigError(f"{path}: {twice[0]} has two rows: add them up, or give them two names")
    tokenizers = sorted({source.tokenizer for source in sources if source.tokenizer})
    if len(tokenizers) > 1:
        raise AssayError(f"{path}: counts of different tokenizers do not add: {', '.join(tokenizers)}")
    if not sum(source.tokens for source in sources):
        raise ConfigError(f"{path} has no tokens: there is nothing to plan with")
    return _supply(sources, origin=str(path), lake=False, sample=False, provisional=False, vocabulary=None)


def _source(columns: Sequence[str], fields: Sequence[str], where: str) -> Source:
    if len(fields) != len(columns):
        raise ConfigError(f"{where}: it has {len(fields)} fields, and the header {len(columns)}")
    row = {name: value.strip() for name, value in zip(columns, fields)}
    if not (row["source"] and row["group"]):
        raise ConfigError(f"{where}: source and group must not be empty")
    known = row.get("known") or "given"
    if known not in KNOWN:
        raise ConfigError(f"{where}: known is {known!r}, none of {', '.join(KNOWN)}")
    documents, tokens = (_count(row[name], f"{where}: {name}") for name in ("documents", "tokens"))
    return Source(
        source=row["source"],
        group=row["group"],
        documents=documents,
        chars=_count(row["characters"], f"{where}: characters") if row.get("characters") else None,
        tokens=tokens,
        training_tokens=tokens + documents,
        known=known,
        tokenizer=row.get("tokenizer") or None,
        citation=row.get("citation") or None,
    )


def _count(text: str, where: str) -> int:
    try:
        return 0 if text == "0" else round(units.quantity(text, units.MOST_TOKENS))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _supply(sources: list[Source], **how: object) -> Supply:
    tokens, training_tokens = (sum(getattr(s, name) for s in sources) for name in ("tokens", "training_tokens"))
    tokenizers = {source.tokenizer for source in sources}
    if not training_tokens:
        raise AssayError(f"{how['origin']} has no tokens: no document is kept, so there is nothing to plan with")
    return Supply(
        tokenizer=tokenizers.pop() if len(tokenizers) == 1 else None,
        documents=sum(source.documents for source in sources),
        tokens=tokens,
        training_tokens=training_tokens,
        groups={
            name: _group(list(of_group), tokens, training_tokens)
            for name, of_group in groupby(sorted(sources, key=attrgetter("group")), key=attrgetter("group"))
        },
        sources=sources,
        **how,
    )


def _group(sources: Sequence[Source], tokens: int, training_tokens: int) -> Group:
    return Group(
        documents=sum(source.documents for source in sources),
        tokens=sum(source.tokens for source in sources),
        training_tokens=sum(source.training_tokens for source in sources),
        share=sum(source.tokens for source in sources) / max(tokens, 1),
        training_share=sum(source.training_tokens for source in sources) / training_tokens,
    )
