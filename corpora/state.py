"""What is stale: a comparison of manifests, which pipelines act upon and the planner refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpora.lake import DUPLICATES, TOKENIZER, Lake


@dataclass(frozen=True)
class State:
    """How one corpus of a lake stands."""

    corpus: str
    stale: tuple[str, ...]
    """Why its ledger is not that of the lake as it is, in a few words each; nothing where it is."""


def states(lake: Lake, profiles: Mapping[str, str]) -> list[State]:
    """How every corpus of the lake stands; `profiles`: fingerprint of each corpus's profile as it is now.

    A corpus is stale when its ledger was made from other documents, another profile, another tokenizer, or other
    findings than are in force: then its counts are not those of the lake.
    """
    lake = lake.at_once()
    duplicates = lake.room(DUPLICATES).manifest("duplicates")
    tokenizer = lake.room(TOKENIZER).manifest("tokenizer")
    findings = {part["documents"]: part["findings"] for part in (duplicates or {}).get("parts", [])}
    inputs = (duplicates or {}).get("inputs", {})
    ingested = {name: lake.room(name).current()["ingest"] for name in lake.corpora()}
    searched = all(inputs.get(name, {}).get("ingest") == manifest for name, manifest in ingested.items())
    found = []
    for name, ingest in ingested.items():
        ledger = lake.room(name).manifest("ledger")
        if ledger is None:
            found.append(State(name, ("not tokenized",)))
            continue
        why = []
        if ledger["ingest"] != ingest:
            why.append("its documents changed")
        if ledger["profile"]["fingerprint"] != profiles[name]:
            why.append("its profile changed")
        if tokenizer is None or ledger["tokenizer"] != tokenizer["fingerprint"]:
            why.append("the tokenizer changed")
        if not searched:
            why.append("duplicates not searched since a corpus changed")
        stale_parts = sum(_sha256(findings.get(part["documents"])) != part["findings"] for part in ledger["parts"])
        if not why and stale_parts:
            why.append(f"duplicates changed in {stale_parts} of {len(ledger['parts'])} parts")
        found.append(State(name, tuple(why)))
    return found


def _sha256(part: dict | None) -> str | None:
    return part["sha256"] if part else None
