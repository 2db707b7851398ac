"""The lake's one tokenizer: set from a file, or trained on what is ingested and marked provisional."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora import ids
from corpora.errors import ConfigError, LakeError
from corpora.lake import TOKENIZER, Lake
from tokenizer import identity
from tokenizer.train import train_bpe

STAGE = "tokenizer"
TRAINING_BYTES = 32 << 20  # text that a provisional tokenizer is trained on, at most
VOCABULARY = 32_768


def in_force(lake: Lake) -> dict[str, Any] | None:
    """The manifest of the tokenizer in force, or None: `fingerprint`, `provisional`, `trained_on`."""
    return lake.room(TOKENIZER).manifest(STAGE)


def load(path: Path) -> bytes:
    """The tokenizer.json in a file. Raises ConfigError, in one sentence, when it is none."""
    try:
        return identity.load(path)
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from None


def put_in_force(lake: Lake, tokenizer_json: bytes) -> dict[str, Any]:
    """Put a tokenizer in force for the whole lake; the manifest."""
    return _publish(lake, tokenizer_json, None)


def train_provisional(lake: Lake) -> dict[str, Any]:
    """Train a byte-level BPE on a sample of what is ingested and put it in force, marked provisional; the manifest.

    The sample is drawn by hash: distinct readable texts of all corpora in order of doc_id, up to `TRAINING_BYTES`.
    """
    texts = list(_sample(lake))
    trained_on = {
        "corpora": {name: lake.room(name).current()["ingest"] for name in lake.corpora()},
        "documents": sum(len(batch) for batch in texts),
        "bytes": sum(pc.sum(pc.binary_length(batch)).as_py() or 0 for batch in texts),
        "vocabulary": VOCABULARY,
    }
    return _publish(lake, train_bpe(texts, VOCABULARY), trained_on)


def _publish(lake: Lake, tokenizer_json: bytes, trained_on: dict[str, Any] | None) -> dict[str, Any]:
    canonical = identity.canonical(tokenizer_json)
    fingerprint = hashlib.sha256(canonical).hexdigest()  # what `identity.fingerprint` gives
    manifest = {
        "stage": STAGE,
        "fingerprint": fingerprint,
        "provisional": trained_on is not None,
        "trained_on": trained_on,
    }
    room = lake.room(TOKENIZER)
    old = room.manifest(STAGE)
    if old and old["fingerprint"] == fingerprint and _whole(lake, fingerprint):
        return old
    with room.lock("tokenize"):
        if trained_on and (set_meanwhile := room.manifest(STAGE)):
            return set_meanwhile
        spooled = room.spool / "tokenizer.json"
        spooled.write_bytes(canonical)
        room.put(spooled, f"tokenizer-{fingerprint}.json")
        room.publish(tokenizer=manifest)
    return manifest


def _whole(lake: Lake, fingerprint: str) -> bool:
    try:
        lake.tokenizer_json(fingerprint)
    except LakeError:
        return False
    return True


def _sample(lake: Lake) -> Iterator[pa.Array]:
    """Texts of the sample, part by part in order of corpus and path. Memory is that of the sample, not of the lake."""
    homes = [
        (lake.room(name), part["documents"]["sha256"])
        for name in lake.corpora()
        for task in lake.room(name).manifest("ingest")["tasks"]
        for part in task["parts"]
    ]
    total = sum(lake.room(name).manifest("ingest")["totals"]["decoded_bytes"] for name in lake.corpora())
    share = min(1.0, 4 * TRAINING_BYTES / max(total, 1))  # of all documents, those whose id is a candidate
    found = [_candidates(room, sha256, share) for room, sha256 in homes]
    part = np.repeat(np.arange(len(found)), [len(columns[0]) for columns in found])
    row, n_bytes, doc_high, doc_low, hash_high, hash_low = (
        (np.concatenate(c) for c in zip(*found)) if found else [np.zeros(0)] * 6
    )
    order = np.lexsort((doc_low, doc_high))
    _, first = np.unique(np.stack([hash_high, hash_low], axis=1)[order], axis=0, return_index=True)
    order = order[np.sort(first)]
    chosen = order[np.cumsum(n_bytes[order]) <= TRAINING_BYTES]
    for index, (room, sha256) in enumerate(homes):
        rows = np.sort(row[chosen[part[chosen] == index]])
        begin = 0
        for batch in room.read("documents", sha256, ["text"]) if len(rows) else ():
            mine = rows[(rows >= begin) & (rows < begin + batch.num_rows)] - begin
            if len(mine):
                yield batch["text"].take(pa.array(mine))
            begin += batch.num_rows


def _candidates(room: Any, sha256: str, share: float) -> list[np.ndarray]:
    """Row, bytes, id and content hash of the readable documents of a part whose id is below a share of all ids."""
    columns: list[list[np.ndarray]] = []
    begin = 0
    for batch in room.read("documents", sha256, ["doc_id", "content_hash", "n_bytes"]):
        doc_high, doc_low = ids.from_hex(batch["doc_id"])
        hash_high, hash_low = ids.from_hex(batch["content_hash"])
        n_bytes = batch["n_bytes"].fill_null(0).to_numpy()
        keep = (n_bytes > 0) & (doc_high <= np.uint64(int(share * (2**64 - 1)) if share < 1 else 2**64 - 1))
        rows = begin + np.flatnonzero(keep)
        columns.append([rows, *(c[keep] for c in (n_bytes, doc_high, doc_low, hash_high, hash_low))])
        begin += batch.num_rows
    return [np.concatenate(column) for column in zip(*columns)]
