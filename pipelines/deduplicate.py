"""Deduplicate: across all corpora of the lake, by priority, which document is a copy of which.

keys      each part: documents that no rule drops -> keys, sorted, by range
edges     each range, over all parts: of equal keys one is kept, the others are edges to it
findings  each part: its edges, aligned with its rows
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpora import ids
from corpora.config import digest
from corpora.lake import DUPLICATES, Lake, Room
from corpora.part import aligned
from corpora.schema import FINDINGS, empty
from pipelines import exchange, parts
from pipelines.duplicates import exact
from pipelines.quality.profile import Profile, judge
from pipelines.runners import Local

STAGE = "duplicates"


Ingested = dict[str, tuple[str, dict[str, Any]]]  # corpus -> file name and content of its ingest manifest


def ingested(lake: Lake) -> Ingested:
    """The ingest manifests in force, read once: a corpus may be ingested anew while its documents are compared."""
    return {name: lake.room(name).in_force("ingest") for name in lake.corpora()}


def inputs_of(manifests: Ingested, profiles: Mapping[str, Profile]) -> dict[str, dict[str, Any]]:
    """What the findings depend on: of each corpus its documents, its priority and what its profile drops."""
    return {
        corpus: {"ingest": name, "priority": manifest["priority"], "profile": profiles[corpus].fingerprint}
        for corpus, (name, manifest) in manifests.items()
    }


def up_to_date(lake: Lake, profiles: Mapping[str, Profile]) -> bool:
    """Whether the findings in force are those of the lake as it is, and whole."""
    room = lake.room(DUPLICATES)
    manifest = room.manifest(STAGE)
    if manifest is None or manifest["inputs"] != inputs_of(ingested(lake), profiles):
        return False
    sizes, found = room.sizes("findings"), (part["findings"] for part in manifest["parts"] if part["findings"])
    return all(sizes.get(part["sha256"]) == part["bytes"] for part in found)


def deduplicate(
    lake: Lake, profiles: Mapping[str, Profile], room: Room, runner: Local, show: parts.Show
) -> dict[str, Any]:
    """Find the duplicates of the whole lake and put the findings in force; the manifest.

    `profiles`: of each corpus in the lake. The caller holds the lock of `room`, the lake's room `duplicates`.
    """
    manifests = ingested(lake)
    described = list(_parts(manifests))

    def done(stage: str, tasks: list[parts.Task], work: parts.Work) -> list[dict[str, Any] | None]:
        """What a chain wrote for each task, in order."""
        receipts = parts.run(stage, tasks, work, room, runner, show, [stage])
        return [next((part[stage] for part in receipts[task.key]["parts"]), None) for task in tasks]

    bits = exchange.range_bits(sum(part.rows for part in described))
    keys = done("keys", _key_tasks(described, profiles, bits), Keys(lake.url, dict(profiles)))
    sources = [(key["sha256"], part.priority) for key, part in zip(keys, described)]
    edges = [edge["sha256"] for edge in done("edges", _range_tasks(described, sources, bits), Edges(sources))]
    findings = done("findings", _finding_tasks(described, edges), Findings(edges))

    manifest = {
        "stage": STAGE,
        "inputs": inputs_of(manifests, profiles),
        "parts": [
            {"corpus": part.corpus, "documents": part.documents, "findings": found}
            for part, found in zip(described, findings)
        ],
    }
    if manifest != room.manifest(STAGE):
        room.publish(duplicates=manifest)
    return manifest


@dataclass(frozen=True)
class _Part:
    """A part of some corpus, as its ingest published it."""

    corpus: str
    priority: int
    documents: str
    signals: str
    signatures: str
    rows: int

    @property
    def name(self) -> str:
        return f"{self.corpus} part {self.documents[:12]}"


def _parts(manifests: Ingested) -> Iterator[_Part]:
    for corpus, (_, manifest) in manifests.items():
        for part in (part for task in manifest["tasks"] for part in task["parts"]):
            shas = (part[kind]["sha256"] for kind in ("documents", "signals", "signatures"))
            yield _Part(corpus, manifest["priority"], *shas, part["documents"]["rows"])


def _key_tasks(described: list[_Part], profiles: Mapping[str, Profile], bits: int) -> list[parts.Task]:
    return [
        parts.Task(
            name=part.name,
            inputs=[part.signals, part.signatures],
            config=digest(["keys", profiles[part.corpus].fingerprint, bits, exact.VERSION, exchange.VERSION]),
            size=part.rows * exchange.KEY_BYTES,
            details={"corpus": part.corpus, "bits": bits},
        )
        for part in described
    ]


def _range_tasks(described: list[_Part], sources: list[tuple[str, int]], bits: int) -> list[parts.Task]:
    n_bytes = sum(part.rows for part in described) * exchange.KEY_BYTES >> bits
    config, keys = digest(["edges", exact.VERSION, exchange.VERSION]), digest(sources)
    return [parts.Task(f"range {r}", [r, keys], config, n_bytes) for r in range(1 << bits)]


def _finding_tasks(described: list[_Part], edges: list[str]) -> list[parts.Task]:
    config, found = digest(["findings", exact.VERSION]), digest(edges)
    return [
        parts.Task(part.name, [part.documents, index, found], config, part.rows * exchange.KEY_BYTES, index)
        for index, part in enumerate(described)
    ]


@dataclass(frozen=True)
class Keys:
    """The work of a part: keys of the documents that no rule drops, so that no text is lost for a dropped copy."""

    lake: str
    profiles: dict[str, Profile]

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        corpus = task.details["corpus"]
        home = Lake(self.lake).room(corpus)
        signals, signatures = task.inputs
        batches, row = [], 0
        for signal, signature in aligned([home.read("signals", signals), home.read("signatures", signatures)]):
            readable = signature["content_hash"].is_valid().to_numpy(zero_copy_only=False)
            rows = np.flatnonzero(readable & ~judge(signal, self.profiles[corpus]).dropped)
            keys = exchange.keys_of(signature["content_hash"], signature["doc_id"], rows)
            batches.append(keys.set_column(4, exchange.KEYS.field("row"), pa.array(keys["row"].to_numpy() + row)))
            row += signal.num_rows
            watch.advance(signal.num_rows * exchange.KEY_BYTES)
        keys = pa.Table.from_batches(batches, exchange.KEYS).sort_by(
            [(n, "ascending") for n in exchange.KEYS.names[:4]]
        )
        keys = keys.combine_chunks().to_batches()
        spool = room.spool / f"keys-{task.key}"
        written = exchange.write_ranges(spool, keys[0] if keys else empty(exchange.KEYS), task.details["bits"])
        return {"parts": [{"keys": asdict(room.keep_file("keys", spool, written))}]}


@dataclass(frozen=True)
class Edges:
    """The work of a range: read it from every part's keys, group, and write who is a copy of whom."""

    sources: list[tuple[str, int]]
    """Key file and corpus priority of every part."""

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        index = task.inputs[0]
        batches = []
        for sha256, _ in self.sources:
            with room.open("keys", sha256) as file:
                batches.append(exchange.read_batch(file, index))
            watch.advance(batches[-1].nbytes)
        lengths = [batch.num_rows for batch in batches]
        part = np.repeat(np.arange(len(batches)), lengths)
        priority = np.repeat(np.array([priority for _, priority in self.sources], np.int64), lengths)
        keys = exchange.concatenated(batches, exchange.KEYS)
        found = exact.copies(keys["key_high"], keys["key_low"], priority, keys["doc_high"], keys["doc_low"])
        columns = [keys["row"][found.copy]]
        columns += [keys[name][which] for which in (found.copy, found.kept) for name in ("doc_high", "doc_low")]
        edges = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=exchange.EDGES)
        spool = room.spool / f"edges-{task.key}"
        written = exchange.write_edges(spool, edges, part[found.copy], len(batches))
        return {"parts": [{"edges": asdict(room.keep_file("edges", spool, written))}]}


@dataclass(frozen=True)
class Findings:
    """The work of a part: collect its edges from every range, in order of row. A part without any has no findings."""

    edges: list[str]

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        batches = []
        for sha256 in self.edges:
            with room.open("edges", sha256) as file:
                batches.append(exchange.read_batch(file, task.details))
        watch.advance(task.size)
        found = exchange.concatenated(batches, exchange.EDGES)
        if not len(found["row"]):
            return {"parts": []}
        order = np.argsort(found["row"])
        columns = [
            pa.array(found["row"][order]),
            ids.to_hex(found["doc_high"][order], found["doc_low"][order]),
            ids.to_hex(found["kept_high"][order], found["kept_low"][order]),
            pa.repeat(pa.scalar("exact", pa.large_string()), len(order)),
        ]
        writer = room.writer("findings", FINDINGS)
        writer.write(pa.RecordBatch.from_arrays(columns, schema=FINDINGS))
        return {"parts": [{"findings": asdict(room.keep("findings", writer))}]}
