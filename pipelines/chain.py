"""Like make: which raw files a corpus has, which stages are missing or out of date, and the running of those.

`make tokenize CORPUS=filings` ends here: ingest -> deduplicate -> tokenize, each skipped where nothing changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpora import catalog, sample
from corpora.catalog import Corpus, Input
from corpora.config import build
from corpora.errors import AssayError, ConfigError
from corpora.lake import DUPLICATES, TOKENIZER, Lake
from corpora.room import Room
from corpora.stores import check_bucket, open_url
from pipelines import deduplicate, ingest, parts, tokenize, tokenizer_in_force
from pipelines.ingest import Ingested, RawInput
from pipelines.quality import profile
from pipelines.raw import PART_BYTES, fixed_prefix
from pipelines.runners import Runner
from tokenizer.encode import EncodePath, choose

RAW = Path("data/raw")
SAMPLE = Path("data/sample")
LAKE, SAMPLE_LAKE = "lake", "lake-sample"
PROBE_PARTS = 4  # parts whose first documents the encoder is proven on before a run


@dataclass(frozen=True)
class Raw:
    """Where a corpus's raw files lie."""

    inputs: tuple[RawInput, ...]
    sample: bool = False


@dataclass(frozen=True)
class Setup:
    """How to run, whatever is run."""

    runner: Runner
    show: parts.Show
    say: Callable[[str], None]
    """Shows one sentence to the user."""
    max_quarantined: float = 0.01
    part_bytes: int = PART_BYTES


def raw_of(corpus: Corpus, raw: Sequence[str], format_: str | None) -> Raw | None:
    """Where the raw files of a corpus lie: where `raw` says, else in `data/raw/<corpus>`; None where there are none.

    Raises ConfigError when `raw` is given and matches no file: never a fall-back to the sample.
    """
    if raw:
        entry = _input(corpus, format_)
        prefixes = [fixed_prefix(pattern) for pattern in raw]
        root = prefixes[0][0] if len(raw) == 1 else _common([folder for folder, _ in prefixes])
        inputs = [RawInput(root, os.path.relpath(f"{folder}/{rest}", root), entry) for folder, rest in prefixes]
        for pattern, found in zip(raw, inputs):
            if not found.files:
                check_bucket(pattern)
                raise ConfigError(f"--raw {pattern} matches no file")
        return Raw(tuple(inputs))
    entries = corpus.inputs if format_ is None else [replace(_input(corpus, format_), raw="**")]
    inputs = tuple(RawInput(str(RAW / corpus.name), entry.raw, entry) for entry in entries)
    return Raw(inputs) if any(entry.files for entry in inputs) else None


def sample_of(corpus: Corpus) -> Raw:
    """The raw files of the embedded sample, written to `data/sample` where they are not yet."""
    if corpus.name not in sample.CORPORA:
        raise ConfigError(
            f"{corpus.name} has no raw files: put them in {RAW / corpus.name}, or say --raw where they are"
        )
    others = {entry.raw.split("/")[1] for entry in corpus.inputs if entry.raw.startswith("../")}
    sample.write_sample(SAMPLE, sorted({corpus.name} | others))
    return Raw(tuple(RawInput(str(SAMPLE / corpus.name), entry.raw, entry) for entry in corpus.inputs), sample=True)


def _input(corpus: Corpus, format_: str | None) -> Input:
    """The corpus's input of a format, with its options; of its first format where none is asked for."""
    of_format = [entry for entry in corpus.inputs if format_ in (None, entry.format)]
    return of_format[0] if of_format else build(Input, {"format": format_}, "--format")


def _common(folders: Sequence[str]) -> str:
    """The folder that all of them are in. Raises ConfigError where they lie in different stores."""
    stores = {folder.partition("://")[0] if "://" in folder else "" for folder in folders}
    if len(stores) > 1:
        raise ConfigError("--raw names files of different stores: one corpus has one root")
    if stores == {""}:
        return os.path.commonpath([Path(folder).absolute() for folder in folders])
    common = os.path.commonpath([folder.partition("://")[2] for folder in folders])
    if not common:
        raise ConfigError("--raw names files of different buckets: one corpus has one root")
    return f"{stores.pop()}://{common}"


def choose_lake(
    lake: str | None, corpus: Corpus, raw: Raw | None, say: Callable[[str], None]
) -> tuple[Lake, Raw | None]:
    """The lake to write and the raw files to read; None where the lake is to go on with what it holds.

    Without raw files a corpus that the given lake holds goes on from those it was ingested from; else the embedded
    sample is used, in a lake of its own. Raises AssayError rather than mix the sample with real data.
    """
    if raw is None and lake and corpus.name in Lake(lake).corpora():
        remembered = _remembered(Lake(lake).room(corpus.name), corpus)
        if remembered is None:
            say(f"{corpus.name}: its raw files are not there; going on with what the lake holds.")
        return Lake(lake), remembered
    if raw is None:
        raw = sample_of(corpus)
        lake = lake or SAMPLE_LAKE
        say(f"No raw files in {RAW / corpus.name}: using the embedded sample, in its own lake {lake}/.")
    found = Lake(lake or LAKE)
    holds_sample = found.sample
    if holds_sample is None:
        check_bucket(found.url)
    elif holds_sample != raw.sample:
        ours, theirs = ("the embedded sample", "real data") if raw.sample else ("real data", "the embedded sample")
        raise AssayError(
            f"{found.url} holds {theirs} and {corpus.name} is {ours}: the two are never mixed; name another --lake"
        )
    return found, raw


def corpora_of(corpus: str | None, lake: str | None, from_sample: bool = False) -> tuple[str | None, list[str]]:
    """The lake and the corpora that are meant: one, or all.

    All are those that the lake holds or that have raw files; without any, and where it is asked for, the sample's.
    """
    if from_sample:
        return lake or SAMPLE_LAKE, [corpus] if corpus else sorted(sample.CORPORA)
    if corpus:
        return lake, [corpus]
    found = Lake(lake or LAKE)
    held = found.corpora()
    if not found.sample:
        held = sorted({*held, *(name for name in catalog.names() if raw_of(catalog.load(name), [], None))})
    return (found.url, held) if held else (lake or SAMPLE_LAKE, sorted(sample.CORPORA))


def _remembered(room: Room, corpus: Corpus) -> Raw | None:
    """Where the raw files lie that a corpus was last ingested from; None where none is there any more."""
    last = room.lake.read_json(f"{room.name}/run.json") or {"inputs": [], "sample": False}
    inputs = [RawInput(entry["root"], entry["pattern"], _input(corpus, entry["format"])) for entry in last["inputs"]]
    return Raw(tuple(inputs), last["sample"]) if any(entry.files for entry in inputs) else None


def run_ingest(lake: Lake, corpus: Corpus, raw: Raw, setup: Setup, *, compact: bool = False) -> Ingested:
    """Bring the documents of a corpus up to date, and remember where its raw files lie.

    `compact`: cut the files into tasks as if they all came today, or refuse where that would change a document.
    """
    _check_apart(lake, raw.inputs)
    room = lake.room(corpus.name)
    with room.lock("ingest", setup.say):
        done = ingest.ingest(
            corpus, raw.inputs, room, setup.runner, setup.show,
            sample=raw.sample, max_quarantined=setup.max_quarantined, part_bytes=setup.part_bytes, compact=compact,
        )  # fmt: skip
        inputs = [{"root": _absolute(e.root), "pattern": e.pattern, "format": e.input.format} for e in raw.inputs]
        notes = room.spool / "run.json"
        notes.write_text(json.dumps({"inputs": inputs, "sample": raw.sample}, indent=1) + "\n", "utf-8")
        room.put(notes, notes.name)
    _say_done(setup, f"{corpus.name}: documents", done.tasks, done.done)
    if damaged := done.manifest["totals"]["unreadable"]:
        setup.say(
            f'{corpus.name}: {damaged} raw files are damaged or empty; `assay sql "FROM drops"` counts the reasons.'
        )
    return done


def run_compact(lake: Lake, names: Sequence[str], setup: Setup) -> None:
    """Give some corpora the parts that they would have if all of their raw files had come at once.

    The stages after the ingest follow where they have been run before. Raises AssayError where the raw files are not
    those that are in the lake; all corpora are looked at before the first is read.
    """
    found = {}
    for name in names:
        wanted, room = catalog.load(name), lake.room(name)
        raw = _remembered(room, wanted)
        there = {file.path for entry in raw.inputs for file in entry.files} if raw else set()
        read = {piece["path"] for task in room.manifest("ingest")["tasks"] for piece in task["inputs"]}
        if raw is None:
            raise AssayError(f"{name} cannot be compacted: its raw files are gone; put them back where they were")
        if there != read:
            raise AssayError(
                f"{name} cannot be compacted: its raw files are not those it was read from, {min(there ^ read)} for "
                f"one; `assay ingest {name} {lake.option}` comes first"
            )
        found[name] = wanted, raw
    for wanted, raw in found.values():
        run_ingest(lake, wanted, raw, setup, compact=True)
    if lake.room(DUPLICATES).current():
        run_deduplicate(lake, setup)
    tokenizer, tokenized = tokenizer_in_force.in_force(lake), [n for n in names if lake.room(n).manifest("ledger")]
    if tokenizer and tokenized:
        run_tokenize(lake, tokenized, tokenizer, setup)


def run_deduplicate(lake: Lake, setup: Setup) -> dict[str, Any]:
    """Bring the findings of the whole lake up to date; the manifest."""
    profiles = profile.of_lake(lake)
    room = lake.room(DUPLICATES)
    if deduplicate.up_to_date(lake, profiles):
        room.sweep()
        setup.say("duplicates: up to date.")
        return room.manifest("duplicates")
    with room.lock("deduplicate", setup.say):
        manifest = deduplicate.deduplicate(lake, profiles, room, setup.runner.for_numpy(), setup.show)
    found = sum(part["findings"]["rows"] for part in manifest["parts"] if part["findings"])
    setup.say(f"duplicates: {found:,} found among {len(profiles)} corpora.")
    return manifest


def run_tokenizer(lake: Lake, tokenizer_json: bytes | None, setup: Setup) -> dict[str, Any]:
    """The tokenizer in force: the one given, else the lake's, else one trained now and marked provisional."""
    old = tokenizer_in_force.in_force(lake)
    lake.room(TOKENIZER).sweep()
    if tokenizer_json is not None:
        new = tokenizer_in_force.put_in_force(lake, tokenizer_json)
        if old and old["fingerprint"] != new["fingerprint"]:
            setup.say("The tokenizer changed: every count made with the one before is stale.")
        return new
    if old is None:
        setup.say(
            "No tokenizer is set: training a byte-level BPE on what is ingested, marked provisional "
            "(--tokenizer FILE sets one)."
        )
        return tokenizer_in_force.train_provisional(lake)
    return old


def run_tokenize(lake: Lake, names: Sequence[str], tokenizer: dict[str, Any], setup: Setup) -> None:
    """Bring ledger and tokens of some corpora up to date; the findings of the lake must be."""
    fingerprint = tokenizer["fingerprint"]

    @cache
    def encode_path() -> EncodePath:
        path, note = choose(lake.tokenizer_json(fingerprint), _probe(lake, names))
        setup.say(f"Encoding with {path}: {note}.")
        return path

    for name in names:
        wanted, room = profile.of_corpus(name), lake.room(name)
        with room.lock("tokenize", setup.say):
            done = tokenize.tokenize(lake, room, wanted, fingerprint, encode_path, setup.runner, setup.show)
        _say_done(setup, f"{name}: ledger and tokens", done.tasks, done.done)


def _probe(lake: Lake, names: Sequence[str]) -> pa.Array:
    """First documents of a few parts: what the encoder is proven on."""
    texts: list[pa.Array] = []
    for name in names:
        tasks = lake.room(name).manifest("ingest")["tasks"]
        shas = [part["documents"]["sha256"] for task in tasks for part in task["parts"]]
        for sha256 in shas[:: max(1, len(shas) // PROBE_PARTS)][:PROBE_PARTS]:
            first = next(lake.room(name).read("documents", sha256, ["text"]), None)
            if first is not None:
                texts.append(first["text"].drop_null().slice(0, 100))
    return pa.concat_arrays(texts) if texts else pa.array([], pa.large_string())


def _say_done(setup: Setup, what: str, tasks: int, done: int) -> None:
    setup.say(f"{what}: up to date." if not done else f"{what}: {done} of {tasks} tasks done.")


def _check_apart(lake: Lake, inputs: Sequence[RawInput]) -> None:
    """Raise ConfigError where the lake lies in a raw folder that is read whole, or a raw file lies in the lake."""
    home = os.path.realpath(lake.root) if lake.local else lake.root

    def real(url: str) -> str | None:
        fs, path = open_url(url)
        if type(fs) is not type(lake.fs):
            return None
        return os.path.realpath(path) if lake.local else os.path.normpath(path)

    for entry in inputs:
        if entry.pattern.endswith("**") and (folder := real(f"{entry.root}/{entry.pattern[:-2]}")):
            below = os.path.relpath(home, folder)
            if not any(name.startswith(".") and name != "." for name in below.split("/")):  # neither above nor hidden
                raise ConfigError(f"the lake {lake.url} lies in the raw folder {folder}: name another --lake")
        folders = {file.url.rpartition("/")[0]: file for file in entry.files}  # a link is asked once, not by each file
        for folder, file in folders.items():
            if f"{real(folder)}/".startswith(f"{home}/"):
                raise ConfigError(f"the raw file {file.path} lies in the lake {lake.url}: name another --lake")


def _absolute(root: str) -> str:
    fs, path = open_url(root)
    return fs.unstrip_protocol(path)
