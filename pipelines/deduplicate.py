"""Deduplicate: across all corpora of the lake, by priority, which document is a copy of which.

keys      each group of parts: documents that no rule drops -> keys, sorted, by range
edges     each range, over all groups: of equal keys one is kept, the others are edges to it
findings  each group whose edges changed: the findings of its parts, aligned with their rows
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from corpora import ids
from corpora.config import digest
from corpora.lake import DUPLICATES, Lake
from corpora.part import aligned
from corpora.room import EXTENSION, Room
from corpora.schema import FINDINGS, empty
from pipelines import exchange, parts
from pipelines.duplicates import exact
from pipelines.quality.profile import Profile, judge
from pipelines.runners import Runner

STAGE = "duplicates"
VERSIONS = {"exact": exact.VERSION, "exchange": exchange.VERSION}


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
    if manifest["versions"] != VERSIONS or any(room.noted(kind) for kind in EXTENSION):
        return False
    sizes, found = room.sizes("findings"), (part["findings"] for part in manifest["parts"] if part["findings"])
    return all(sizes.get(part["sha256"]) == part["bytes"] for part in found)


def deduplicate(
    lake: Lake, profiles: Mapping[str, Profile], room: Room, runner: Runner, show: parts.Show
) -> dict[str, Any]:
    """Find the duplicates of the whole lake and put the findings in force; the manifest.

    `profiles`: of each corpus in the lake. The caller holds the lock of `room`, the lake's room `duplicates`.
    """
    for kind in EXTENSION:
        room.delete_noted(kind)
    manifests = ingested(lake)
    described = list(_parts(manifests))
    n_keys = sum(part.rows for part in described)
    bits = exchange.range_bits(n_keys)
    groups = list(_groups(described, n_keys))

    def done(stage: str, tasks: list[parts.Task], work: parts.Work) -> list[dict[str, Any]]:
        """The receipts of a chain's tasks, in order."""
        receipts = parts.run(stage, tasks, work, room, runner, show, [stage])
        return [receipts[task.key] for task in tasks]

    keys = done("keys", _key_tasks(groups, profiles, bits), Keys(lake.url, dict(profiles)))
    sources = [(key["parts"][0]["keys"]["sha256"], group[0].priority) for key, group in zip(keys, groups)]
    edges = done("edges", _range_tasks(n_keys, sources, bits), Edges(sources))
    work = Findings([edge["parts"][0]["edges"]["sha256"] for edge in edges])
    findings = done("findings", _finding_tasks(groups, edges), work)
    found = {part["documents"]: part["findings"] for receipt in findings for part in receipt["parts"]}

    manifest = {
        "stage": STAGE,
        "versions": VERSIONS,
        "inputs": inputs_of(manifests, profiles),
        "parts": [
            {"corpus": part.corpus, "documents": part.documents, "findings": found.get(part.documents)}
            for part in described
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


def _groups(described: list[_Part], n_keys: int) -> Iterator[list[_Part]]:
    """Consecutive parts of one corpus whose keys lie in one file."""
    for _, of_corpus in groupby(described, lambda part: part.corpus):
        members = list(of_corpus)
        cut = exchange.groups([part.documents for part in members], [part.rows for part in members], n_keys)
        yield from (members[which] for which in cut)


def _key_tasks(groups: list[list[_Part]], profiles: Mapping[str, Profile], bits: int) -> list[parts.Task]:
    return [
        parts.Task(
            name=_name(group),
            inputs=[[part.signals, part.signatures] for part in group],
            config=digest(["keys", profiles[group[0].corpus].fingerprint, bits, exact.VERSION, exchange.VERSION]),
            size=sum(part.rows for part in group) * exchange.KEY_BYTES,
            details={"corpus": group[0].corpus, "bits": bits},
        )
        for group in groups
    ]


def _range_tasks(n_keys: int, sources: list[tuple[str, int]], bits: int) -> list[parts.Task]:
    config, keys = digest(["edges", exact.VERSION, exchange.VERSION]), digest(sources)
    return [parts.Task(f"range {r}", [r, keys], config, n_keys * exchange.KEY_BYTES >> bits) for r in range(1 << bits)]


def _finding_tasks(groups: list[list[_Part]], edges: list[dict[str, Any]]) -> list[parts.Task]:
    """Of the groups that any edge speaks of."""
    config = digest(["findings", exact.VERSION, exchange.VERSION])
    tasks = []
    for index, group in enumerate(groups):
        of_group = [exchange.digest_of(edge["groups"], index) for edge in edges]
        if any(of_group):
            inputs = [[part.documents for part in group], digest(of_group)]
            size = sum(part.rows for part in group) * exchange.KEY_BYTES
            details = {"index": index, "rows": [part.rows for part in group]}
            tasks.append(parts.Task(_name(group), inputs, config, size, details))
    return tasks


def _name(group: list[_Part]) -> str:
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{group[0].corpus} part {group[0].documents[:12]}{more}"


@dataclass(frozen=True)
class Keys:
    """The work of a group: keys of the documents that no rule drops, so that no text is lost for a dropped copy."""

    lake: str
    profiles: dict[str, Profile]

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        home, profile = Lake(self.lake).room(task.details["corpus"]), self.profiles[task.details["corpus"]]
        batches, row = [], 0
        for signals, signatures in task.inputs:
            for signal, signature in aligned([home.read("signals", signals), home.read("signatures", signatures)]):
                readable = signature["content_hash"].is_valid().to_numpy(zero_copy_only=False)
                rows = np.flatnonzero(readable & ~judge(signal, profile).dropped)
                batches.append(exchange.keys_of(signature["content_hash"], signature["doc_id"], rows, row))
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
    """The work of a range: read it from every group's keys, group, and write who is a copy of whom."""

    sources: list[tuple[str, int]]
    """Key file and corpus priority of every group."""

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        index = task.inputs[0]
        batches = []
        for sha256, _ in self.sources:
            with room.intact("keys", sha256), room.open("keys", sha256) as file:
                batches.append(exchange.read_batch(file, index))
            watch.advance(batches[-1].nbytes)
        lengths = [batch.num_rows for batch in batches]
        group = np.repeat(np.arange(len(batches)), lengths)
        priority = np.repeat(np.array([priority for _, priority in self.sources], np.int64), lengths)
        keys = exchange.concatenated(batches, exchange.KEYS)
        found = exact.copies(keys["key_high"], keys["key_low"], priority, keys["doc_high"], keys["doc_low"])
        columns = [keys["row"][found.copy]]
        columns += [keys[name][which] for which in (found.copy, found.kept) for name in ("doc_high", "doc_low")]
        edges = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=exchange.EDGES)
        spool = room.spool / f"edges-{task.key}"
        written, digests = exchange.write_edges(spool, edges, group[found.copy], len(batches))
        return {"parts": [{"edges": asdict(room.keep_file("edges", spool, written))}], "groups": digests}


@dataclass(frozen=True)
class Findings:
    """The work of a group: collect its edges from every range, and write those of each part in order of row.

    A part without any has no findings.
    """

    edges: list[str]

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        batches = []
        for sha256 in self.edges:
            with room.intact("edges", sha256), room.open("edges", sha256) as file:
                batches.append(exchange.read_batch(file, task.details["index"]))
        watch.advance(task.size)
        found = exchange.concatenated(batches, exchange.EDGES)
        order = np.argsort(found["row"])
        begins = np.cumsum([0, *task.details["rows"]])
        cuts = np.searchsorted(found["row"][order], begins[1:-1])
        written = []
        for documents, begin, rows in zip(task.inputs[0], begins, np.split(order, cuts)):
            if len(rows):
                columns = [
                    pa.array(found["row"][rows] - begin),
                    ids.to_hex(found["doc_high"][rows], found["doc_low"][rows]),
                    ids.to_hex(found["kept_high"][rows], found["kept_low"][rows]),
                    pa.repeat(pa.scalar("exact", pa.large_string()), len(rows)),
                ]
                writer = room.writer("findings", FINDINGS)
                writer.write(pa.RecordBatch.from_arrays(columns, schema=FINDINGS))
                written.append({"documents": documents, "findings": asdict(room.keep("findings", writer))})
        return {"parts": written}
