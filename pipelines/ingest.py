"""Ingest: raw files -> documents, and aligned with them signals and signatures.

files = list what the corpus's inputs match
tasks = those of the manifest in force whose files are unchanged, and the other files cut anew
each task: read -> clean -> identify -> measure -> write parts and a receipt
publish the manifest, unless too much was quarantined
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.catalog import Clean, Corpus, Input
from corpora.config import digest
from corpora.errors import AssayError, ConfigError
from corpora.part import ROW_GROUP_BYTES, ROW_GROUP_ROWS
from corpora.readers import reader
from corpora.readers.base import Counts
from corpora.readers.source import Source
from corpora.room import Room
from corpora.schema import DOCUMENTS, SIGNALS, SIGNATURES
from pipelines import documents as kernels
from pipelines import parts
from pipelines.quality import signals
from pipelines.raw import PART_BYTES, RawFile, cut, find
from pipelines.runners import Runner

STAGE = "ingest"
KINDS = ("documents", "signals", "signatures")
OUTPUT_BYTES = 256 << 20  # text in one documents part: a task with more of it has several

VERSIONED = ("corpus-assay", "numba", "pyarrow", "resiliparse")


class TooManyQuarantined(AssayError):
    """More records could not be read than a run may pass over; the message says where to look."""


@dataclass(frozen=True)
class RawInput:
    """The files of one input of a corpus, relative to a root."""

    root: str
    pattern: str
    input: Input
    """How to read them."""

    @cached_property
    def files(self) -> list[RawFile]:
        """The files, listed once: a bucket's listing is slow."""
        return find(self.root, self.pattern)


@dataclass(frozen=True)
class Ingested:
    """What an ingest did."""

    manifest: dict[str, Any]
    tasks: int
    done: int
    """Tasks that were done now; 0 when all was up to date."""


def ingest(
    corpus: Corpus,
    inputs: Sequence[RawInput],
    room: Room,
    runner: Runner,
    show: parts.Show,
    *,
    sample: bool = False,
    max_quarantined: float = 0.01,
    part_bytes: int = PART_BYTES,
    compact: bool = False,
) -> Ingested:
    """Bring `documents`, `signals` and `signatures` of a corpus up to date with its raw files and put them in force.

    `compact`: no file keeps its task, and no document may change. The caller holds the room's lock. Raises StageFailed,
    Interrupted, TooManyQuarantined, AssayError; then what was in force stays.
    """
    _refuse_twice(corpus, inputs)
    in_force = room.manifest(STAGE)
    standing = [] if compact else _standing(in_force, room)
    tasks = [task for entry in inputs for task in _plan(corpus, entry, standing, part_bytes)]
    tasks.sort(key=lambda task: (task.inputs[0]["path"], task.inputs[0]["start"]))
    before = parts.done(room, STAGE, tasks, KINDS, _unchanged(tasks, standing, room))
    if len(before) < len(tasks):
        signals.warm()
    work = Read(corpus.name, corpus.license, corpus.clean)
    receipts = parts.run(STAGE, tasks, work, room, runner, show, KINDS, before)
    manifest = _manifest(corpus, tasks, receipts, sample)
    _refuse_quarantined(manifest, max_quarantined, room)
    if compact and manifest["row_digest"] != in_force["row_digest"]:
        raise AssayError(
            f"{corpus.name} cannot be compacted: its raw files or their reader have changed since it was read; "
            f"`assay ingest {corpus.name} {room.lake.option}` comes first"
        )
    if manifest != in_force:
        room.publish(ingest=manifest)
    return Ingested(manifest, len(tasks), len(tasks) - len(before))


def _refuse_twice(corpus: Corpus, inputs: Sequence[RawInput]) -> None:
    """Raise ConfigError for a file that two inputs match: its documents would be there twice."""
    seen: set[str] = set()
    for file in (file for entry in inputs for file in entry.files):
        if file.url in seen:
            raise ConfigError(f"{corpus.name}: the raw file {file.path} is matched twice; every file is read once")
        seen.add(file.url)


@dataclass(frozen=True)
class _Standing:
    """A task of the manifest in force."""

    inputs: list[dict[str, Any]]
    config: str
    key: str
    receipt: dict[str, Any] | None
    """Which a person may have deleted."""


def _standing(in_force: dict[str, Any] | None, room: Room) -> list[_Standing]:
    """The tasks in force, their receipts read at once."""
    tasks = in_force["tasks"] if in_force else []
    keys = [parts.key_of(task["inputs"], task["config"]) for task in tasks]
    receipts = room.receipts(STAGE, keys)
    return [_Standing(task["inputs"], task["config"], key, receipts.get(key)) for task, key in zip(tasks, keys)]


def _plan(corpus: Corpus, entry: RawInput, standing: Sequence[_Standing], part_bytes: int) -> Iterator[parts.Task]:
    """Tasks of one input: files keep their task while it covers them unchanged; the others are cut in order of path."""
    options = entry.input.reader_options(corpus.name)
    config = config_of(corpus, entry.input.format, options)
    by_path = {file.path: file for file in entry.files}

    def task(pieces: list[dict[str, Any]]) -> parts.Task:
        size = sum(piece["end"] - piece["start"] for piece in pieces)
        urls = [by_path[piece["path"]].url for piece in pieces]
        versions = [by_path[piece["path"]].version for piece in pieces]
        details = {"format": entry.input.format, "options": options, "urls": urls, "versions": versions}
        more = f" and {len(pieces) - 1} more" if len(pieces) > 1 else ""
        return parts.Task(pieces[0]["path"] + more, pieces, config, size, details)

    def unchanged(old: _Standing) -> bool:
        files = [by_path.get(piece["path"]) for piece in old.inputs]
        return old.receipt is not None and all(
            file and (file.size, file.version) == (piece["size"], version)
            for file, piece, version in zip(files, old.inputs, old.receipt["versions"])
        )

    before = [old for old in standing if old.config == config]
    # A large file is covered by all of its slices or not at all.
    uncovered = {piece["path"] for old in before if not unchanged(old) for piece in old.inputs}
    kept = [old.inputs for old in before if not any(piece["path"] in uncovered for piece in old.inputs)]
    yield from map(task, kept)
    covered = {piece["path"] for pieces in kept for piece in pieces}
    rest = [file for file in entry.files if file.path not in covered]
    for group in cut(rest, entry.input, part_bytes):
        yield task([asdict(piece) for piece in group])


def config_of(corpus: Corpus, format_: str, options: Any) -> str:
    """Digest of all that an ingest's result depends on besides the raw bytes."""
    return digest(
        {
            "corpus": corpus.name,
            "license": corpus.license,
            "clean": corpus.clean,
            "format": format_,
            "options": options,
            "versions": [reader(format_).VERSION, kernels.VERSION, signals.VERSION],
            "schemas": [schema.to_string(show_field_metadata=False) for schema in (DOCUMENTS, SIGNALS, SIGNATURES)],
        }
    )


def _unchanged(tasks: Sequence[parts.Task], standing: Sequence[_Standing], room: Room) -> dict[str, dict[str, Any]]:
    """key -> receipt, in force or of a run that was interrupted, of the tasks whose files are those that were read.

    Of the others, with the same names and sizes and other contents, the receipts are removed.
    """
    known = {old.key: old.receipt for old in standing if old.receipt is not None}
    new = [task.key for task in tasks if task.key not in known]
    known |= room.receipts(STAGE, new)
    found = {}
    for task in (task for task in tasks if task.key in known):
        if known[task.key]["versions"] == task.details["versions"]:
            found[task.key] = known[task.key]
        else:
            room.drop_receipt(STAGE, task.key)
    return found


@dataclass(frozen=True)
class Read:
    """The work of one task: read -> clean -> identify -> measure -> write."""

    corpus: str
    license: str
    clean: Clean

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        counts, cleaned, quarantined, written = Counts(), Counter(), Counter(), []
        output = _Output(room)
        documents = kernels.rebatch(self._documents(task, watch, counts, cleaned), ROW_GROUP_BYTES, ROW_GROUP_ROWS)
        for batch in documents:
            output.write(batch)
            quarantined.update(batch["quarantine"].drop_null().to_pylist())
            if output.text_bytes >= OUTPUT_BYTES:
                written.append(output.close())
                output = _Output(room)
        if output.empty:
            output.abort()
        else:
            written.append(output.close())
        return {
            "versions": task.details["versions"],
            "counts": _plain(counts) | {"quarantined": dict(quarantined), "cleaned": dict(cleaned)},
            "parts": written,
        }

    def _documents(
        self, task: parts.Task, watch: parts.Watch, counts: Counts, cleaned: Counter[str]
    ) -> Iterator[pa.RecordBatch]:
        format_, options = task.details["format"], task.details["options"]
        for piece, url, version in zip(task.inputs, task.details["urls"], task.details["versions"]):
            whole = piece["start"] == 0 and piece["end"] == piece["size"]
            end = None if whole else piece["end"]
            listed = piece["size"], version
            source = Source(piece["path"], url, piece["start"], end, watch.advance, listed)
            for records in kernels.read(source, format_, options, counts):
                text = kernels.clean(records["text"], self.clean, cleaned)
                records = records.set_column(records.schema.names.index("text"), "text", text)
                yield kernels.identify(records, self.corpus, self.license, piece["path"])


class _Output:
    """Three aligned parts that are being written."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.writers = {
            kind: room.writer(kind, schema) for kind, schema in zip(KINDS, (DOCUMENTS, SIGNALS, SIGNATURES))
        }
        self.text_bytes = self.digest = 0

    @property
    def empty(self) -> bool:
        return self.writers["documents"].empty

    def write(self, documents: pa.RecordBatch) -> None:
        self.writers["documents"].write(documents)
        self.writers["signals"].write(signals.signals(documents))
        self.writers["signatures"].write(documents.select(SIGNATURES.names).cast(SIGNATURES))
        self.text_bytes += pc.sum(documents["n_bytes"]).as_py() or 0
        self.digest = (self.digest + kernels.digest(documents)) % 2**64

    def close(self) -> dict[str, Any]:
        kept = {kind: asdict(self.room.keep(kind, writer)) for kind, writer in self.writers.items()}
        return kept | {"row_digest": f"{self.digest:016x}"}

    def abort(self) -> None:
        for writer in self.writers.values():
            writer.abort()


def _manifest(corpus: Corpus, tasks: Sequence[parts.Task], receipts: dict[str, Any], sample: bool) -> dict[str, Any]:
    """What is published: tasks in order of path, what their readers counted, and the parts they wrote."""
    done = [
        {"inputs": task.inputs, "config": task.config} | {k: receipts[task.key][k] for k in ("counts", "parts")}
        for task in tasks
    ]
    counts = [entry["counts"] for entry in done]
    totals = {
        name: sum(count[name] for count in counts)
        for name in ("containers", "unreadable", "decoded_bytes", "records", "raw_bytes")
    }
    for name in ("skipped", "skipped_bytes", "quarantined", "cleaned"):
        totals[name] = dict(sorted(sum((Counter(count[name]) for count in counts), Counter()).items()))
    digests = (int(part["row_digest"], 16) for entry in done for part in entry["parts"])
    return {
        "stage": STAGE,
        "corpus": corpus.name,
        "group": corpus.group,
        "priority": corpus.priority,
        "license": corpus.license,
        "description": corpus.description,
        "sample": sample,
        "tasks": done,
        "totals": totals,
        "row_digest": f"{sum(digests) % 2**64:016x}",
        "versions": {name: importlib.metadata.version(name) for name in VERSIONED},
    }


def _refuse_quarantined(manifest: dict[str, Any], limit: float, room: Room) -> None:
    """Raise when more than ten records and more than the share `limit` of all are quarantined; list them first."""
    quarantined, records = sum(manifest["totals"]["quarantined"].values()), manifest["totals"]["records"]
    if quarantined <= max(10, limit * records):
        return
    listing = room.spool / "quarantine.tsv"
    with listing.open("w", encoding="utf-8") as file:
        file.write("source_file\tbyte_offset\tquarantine\n")
        for part in (part for task in manifest["tasks"] for part in task["parts"]):
            for batch in room.read(
                "documents", part["documents"]["sha256"], ["source_file", "byte_offset", "quarantine"]
            ):
                for row in batch.filter(batch["quarantine"].is_valid()).to_pylist():
                    file.write("\t".join(str(value) for value in row.values()) + "\n")
    room.put(listing, listing.name)
    raise TooManyQuarantined(
        f"{quarantined:,} of {records:,} records of {room.name} could not be read, more than --max-quarantined "
        f"{limit:.2%}: see {room.root}/{listing.name}; nothing was published"
    )


def _plain(counts: Counts) -> dict[str, Any]:
    return {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(counts).items()}
