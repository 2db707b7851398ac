"""Tokenize: documents, signals, findings, a profile and a tokenizer -> counts, ledger, and ids of the kept.

Each part: decide the outcome of every document (no text is read for it); then read the text once, for whichever is
missing: the counts of all documents, or the ids of the kept.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora import ids
from corpora.config import digest
from corpora.errors import LakeError
from corpora.lake import DUPLICATES, Lake
from corpora.part import PartWriter, aligned, row_digest
from corpora.room import Room
from corpora.schema import COUNTS, DOCUMENTS, LEDGER, OUTCOMES, TOKENS
from pipelines import outcome, parts
from pipelines.quality.profile import Profile
from pipelines.runners import Runner
from tokenizer.encode import EncodePath, Encoder

STAGE = "ledger"
INPUTS = ("documents", "signals", "findings")
KINDS = ("counts", "ledger", "tokens")
TOKEN_ROW_GROUP_BYTES = 4 << 20  # a million ids: what a loader reads at once
VERSION = 1

METADATA = [name for name in DOCUMENTS.names if name in LEDGER.names] + ["quarantine"]
VERSIONED = ("corpus-assay", "gigatoken", "pyarrow", "tokenizers")


@dataclass(frozen=True)
class Tokenized:
    """What a tokenize did."""

    manifest: dict[str, Any]
    tasks: int
    done: int
    """Tasks that were done now; 0 when all was up to date."""


def config_of(profile: Profile, fingerprint: str) -> str:
    """Digest of all that a part's ledger and tokens depend on besides its documents, signals and findings."""
    return digest(["ledger", profile.fingerprint, fingerprint, outcome.VERSION, VERSION])


def tasks_of(lake: Lake, corpus: str, profile: Profile, fingerprint: str) -> list[parts.Task]:
    """The tasks that make a corpus's ledger and tokens: one per documents part, with its findings in force."""
    found = lake.room(DUPLICATES).manifest("duplicates")["parts"]
    ingested = lake.room(corpus).manifest("ingest")["tasks"]
    findings = {part["documents"]: part["findings"] and part["findings"]["sha256"] for part in found}
    config, tasks = config_of(profile, fingerprint), []
    for task in ingested:
        for part in task["parts"]:
            documents = part["documents"]["sha256"]
            if documents not in findings:
                raise LakeError(f"{corpus} was ingested anew meanwhile: run the same command again")
            tasks.append(
                parts.Task(
                    name=task["inputs"][0]["path"],
                    inputs=dict(zip(INPUTS, (documents, part["signals"]["sha256"], findings[documents]))),
                    config=config,
                    size=part["documents"]["bytes"],
                    details=part["documents"]["rows"],
                )
            )
    return tasks


def tokenize(
    lake: Lake,
    room: Room,
    profile: Profile,
    fingerprint: str,
    encode_path: Callable[[], EncodePath],
    runner: Runner,
    show: parts.Show,
) -> Tokenized:
    """Bring `counts`, `ledger` and `tokens` of a corpus up to date and put them in force.

    `encode_path`: asked where there is something to do. The caller holds the lock of `room`; the findings of the lake
    are up to date. Raises StageFailed, Interrupted.
    """
    tasks, in_force = tasks_of(lake, room.name, profile, fingerprint), room.manifest(STAGE)
    receipts = _in_force(in_force)
    receipts |= room.receipts(STAGE, [task.key for task in tasks if task.key not in receipts])
    before = parts.done(room, STAGE, tasks, KINDS, receipts)
    if len(before) < len(tasks):
        work = Account(lake.url, profile, fingerprint, encode_path())
        receipts = parts.run(STAGE, tasks, work, room, runner, show, KINDS, before)
    manifest = _manifest(room, tasks, receipts, profile, fingerprint)
    if manifest != in_force:
        room.publish(ledger=manifest)
    return Tokenized(manifest, len(tasks), len(tasks) - len(before))


def _in_force(manifest: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """key -> what a receipt says, of the tasks that the manifest in force lists: no receipt of theirs need be read."""
    receipts = {}
    for part in manifest["parts"] if manifest else ():
        inputs = {name: part[name] for name in INPUTS}
        written = {kind: part[kind] for kind in KINDS}
        said = {name: part[name] for name in ("totals", "row_digest")}
        receipts[parts.key_of(inputs, manifest["config"])] = {"parts": [written], **said}
    return receipts


@dataclass(frozen=True)
class Account:
    """The work of one part: decide, count, and write the ids of the kept."""

    lake: str
    profile: Profile
    fingerprint: str
    path: EncodePath
    """Which of the encoder's paths."""

    @cached_property
    def encoder(self) -> Encoder:
        """Each worker makes its own from the lake: Beam would compress and copy one that is part of the pipeline."""
        return Encoder(Lake(self.lake).tokenizer_json(self.fingerprint), self.path)

    def __call__(self, task: parts.Task, room: Room, watch: parts.Watch) -> dict[str, Any]:
        documents, signals = task.inputs["documents"], task.inputs["signals"]
        decisions = list(self._decide(task.inputs, room))
        kept = np.concatenate([pc.equal(d["outcome"], "kept").to_numpy(zero_copy_only=False) for d in decisions])
        count_key = digest([documents, self.fingerprint])
        token_key = digest([documents, self.fingerprint, np.packbits(kept).tobytes().hex(), outcome.TRAIN])
        counted, listed = _whole(room, "counts", count_key), _whole(room, "tokens", token_key)

        reads_text = not (counted and listed)
        streams = [
            room.read("documents", documents, [*METADATA, "text"] if reads_text else METADATA),
            room.read("signals", signals, ["n_words"]),
            *([room.read("counts", counted["counts"]["sha256"])] if counted else []),
        ]
        writers = {"ledger": room.writer("ledger", LEDGER)}
        if not counted:
            writers["counts"] = room.writer("counts", COUNTS)
        if not listed:
            writers["tokens"] = room.writer("tokens", TOKENS, row_group_bytes=TOKEN_ROW_GROUP_BYTES)
        totals: Counter[tuple[str, str | None, str]] = Counter()
        row_sum = 0
        for decided, (batch, words, *counts) in zip(decisions, aligned(streams)):
            mask = pc.equal(decided["outcome"], "kept")
            if reads_text:  # of every document where it is to be counted, else of the kept
                text = batch["text"]
                lists = self.encoder.encode(pc.if_else(mask, text, pa.scalar(None, text.type)) if counted else text)
            n_tokens = counts[0]["n_tokens"] if counted else pc.list_value_length(lists).cast(pa.int64())
            ledger = self._ledger_rows(batch, words, n_tokens, decided)
            writers["ledger"].write(ledger)
            if not counted:
                writers["counts"].write(pa.RecordBatch.from_arrays([batch["doc_id"], n_tokens], schema=COUNTS))
            if not listed:
                columns = [batch["doc_id"], batch["published"], decided["split"], n_tokens, lists]
                writers["tokens"].write(pa.RecordBatch.from_arrays([c.filter(mask) for c in columns], schema=TOKENS))
            totals.update(_totals(ledger))
            row_sum += _digest(ledger)
            watch.advance(task.size * batch.num_rows // max(1, task.details))
        written = {
            "counts": counted["counts"] if counted else _keep(room, "counts", count_key, writers["counts"]),
            "tokens": listed["tokens"] if listed else _keep(room, "tokens", token_key, writers["tokens"]),
            "ledger": asdict(room.keep("ledger", writers["ledger"])),
        }
        return {"parts": [written], "totals": _listed(totals), "row_digest": f"{row_sum % 2**64:016x}"}

    def _decide(self, inputs: dict[str, str | None], room: Room) -> Iterator[pa.RecordBatch]:
        home = Lake(self.lake).room(DUPLICATES)
        found = list(home.read("findings", inputs["findings"])) if inputs["findings"] else []
        findings = outcome.read_findings(found)
        row = 0
        streams = [room.read("documents", inputs["documents"], ["quarantine"]), room.read("signals", inputs["signals"])]
        for batch, signals in aligned(streams):
            yield outcome.decide(batch["quarantine"], signals, findings, row, self.profile)
            row += batch.num_rows

    def _ledger_rows(
        self, batch: pa.RecordBatch, words: pa.RecordBatch, n_tokens: pa.Array, decided: pa.RecordBatch
    ) -> pa.RecordBatch:
        columns = {name: batch[name] for name in batch.schema.names}
        columns |= {name: decided[name] for name in decided.schema.names}
        columns |= {"n_words": words["n_words"], "n_tokens": n_tokens}
        for name, value in (("profile", self.profile.fingerprint), ("tokenizer", self.fingerprint)):
            columns[name] = pa.repeat(pa.scalar(value, pa.large_string()), batch.num_rows)
        return pa.RecordBatch.from_arrays([columns[name] for name in LEDGER.names], schema=LEDGER)


def _whole(room: Room, kind: str, key: str) -> dict[str, Any] | None:
    """What an earlier task wrote under this key, if its part is still whole; None where it must be made."""
    receipt = room.receipt(kind, key)
    part = receipt and receipt["parts"][0][kind]
    if part and not room.whole(kind, part):
        return None
    return receipt and receipt["parts"][0]


def _keep(room: Room, kind: str, key: str, writer: PartWriter) -> dict[str, Any] | None:
    """Put a part in the lake with a receipt of its own: a ledger made anew need not make it anew. None without rows."""
    if writer.empty:
        writer.abort()
        part = None
    else:
        part = asdict(room.keep(kind, writer))
    room.write_receipt(kind, key, {"stage": kind, "parts": [{kind: part}]})
    return part


# Totals are sums of integers per (outcome, reason): documents and, of those documents, these columns.
SUMS = {"raw_bytes": "raw_bytes", "bytes": "n_bytes", "chars": "n_chars", "tokens": "n_tokens"}


def _totals(rows: pa.RecordBatch) -> dict[tuple[str, str | None, str], int]:
    grouped = pa.Table.from_batches([rows]).group_by(["outcome", "reason"])
    sums = grouped.aggregate([([], "count_all"), *((column, "sum") for column in SUMS.values())]).to_pylist()
    names = {"documents": "count_all"} | {name: f"{column}_sum" for name, column in SUMS.items()}
    return {(row["outcome"], row["reason"], name): row[column] or 0 for row in sums for name, column in names.items()}


def _listed(totals: Counter[tuple[str, str | None, str]]) -> list[dict[str, Any]]:
    """Totals as rows of outcome, reason, documents, raw_bytes, bytes, chars and tokens, in a fixed order."""
    pairs = sorted({key[:2] for key in totals}, key=lambda pair: (OUTCOMES.index(pair[0]), pair[1] or ""))
    return [
        {"outcome": outcome_, "reason": reason}
        | {name: totals[outcome_, reason, name] for name in ("documents", *SUMS)}
        for outcome_, reason in pairs
    ]


def _digest(rows: pa.RecordBatch) -> int:
    """Row digest of a batch of the ledger: identity, outcome, tokens and survivor of each document."""
    outcomes = pc.index_in(rows["outcome"], pa.array(OUTCOMES, pa.large_string())).to_numpy()
    return row_digest(
        *ids.from_hex(rows["doc_id"]),
        outcomes,
        rows["n_tokens"].fill_null(0).to_numpy(),
        rows["failed"].to_numpy(),
        *ids.from_hex(rows["duplicate_of"]),
    )


def _manifest(
    room: Room, tasks: Sequence[parts.Task], receipts: dict[str, Any], profile: Profile, fingerprint: str
) -> dict[str, Any]:
    done = [receipts[task.key] for task in tasks]
    totals: Counter[tuple[str, str | None, str]] = Counter()
    for receipt in done:
        for row in receipt["totals"]:
            for name in ("documents", *SUMS):
                totals[row["outcome"], row["reason"], name] += row[name]
    return {
        "stage": STAGE,
        "corpus": room.name,
        "ingest": room.current()["ingest"],
        "profile": {
            "name": profile.name,
            "fingerprint": profile.fingerprint,
            "rules": [rule.name for rule in profile.rules],
        },
        "tokenizer": fingerprint,
        "config": config_of(profile, fingerprint),
        "parts": [
            task.inputs | receipt["parts"][0] | {name: receipt[name] for name in ("totals", "row_digest")}
            for task, receipt in zip(tasks, done)
        ],
        "totals": _listed(totals),
        "row_digest": f"{sum(int(receipt['row_digest'], 16) for receipt in done) % 2**64:016x}",
        "versions": {name: importlib.metadata.version(name) for name in VERSIONED},
    }
