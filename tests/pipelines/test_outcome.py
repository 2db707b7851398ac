"""Every document has exactly one outcome: decided in one order, the same as document by document."""

from __future__ import annotations

import itertools

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.schema import FINDINGS, OUTCOMES, SIGNALS, empty
from pipelines.outcome import DECIDED, decide, read_findings
from pipelines.quality.profile import Profile, Rule

PROFILE = Profile(
    "p", "d", (Rule("words", "n_words", "s", 3.0, 6.0), Rule("length", "gopher_mean_word_length", "s", None, 4.0))
)
DOCUMENT = st.fixed_dictionaries(
    {
        "quarantine": st.none() | st.sampled_from(["not JSON", "no text"]),
        "n_words": st.none() | st.integers(0, 8),
        "gopher_mean_word_length": st.none() | st.integers(0, 8),
        "duplicate": st.booleans(),
    }
)


def findings_of(rows: list[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [{"row": row, "doc_id": f"d{row}", "duplicate_of": f"k{row}", "kind": "exact"} for row in rows], FINDINGS
    )


def one_by_one(document: dict, row: int) -> dict:
    """The outcome of one document, slowly."""
    decided = dict.fromkeys(DECIDED.names) | {"failed": 0, "split": "train"}
    if document["quarantine"] is not None:
        return decided | {"outcome": "quarantined", "reason": document["quarantine"]}
    failures = []
    for bit, rule in enumerate(PROFILE.rules):
        value = document[rule.column]
        if value is not None and rule.minimum is not None and value < rule.minimum:
            failures.append((bit, rule.name, value, rule.minimum))
        elif value is not None and rule.maximum is not None and value > rule.maximum:
            failures.append((bit, rule.name, value, rule.maximum))
    if failures:
        _, reason, measured, threshold = failures[0]
        failed = sum(1 << bit for bit, *_ in failures)
        said = {"reason": reason, "measured": measured, "threshold": threshold, "failed": failed}
        return decided | {"outcome": "dropped"} | said
    if document["duplicate"]:
        return decided | {"outcome": "duplicate", "reason": "exact", "duplicate_of": f"k{row}"}
    return decided | {"outcome": "kept"}


def decided(documents: list[dict], first_row: int, findings: pa.RecordBatch, profile: Profile = PROFILE) -> list[dict]:
    signals = pa.RecordBatch.from_pylist(
        [{name: document.get(name) for name in SIGNALS.names} for document in documents], SIGNALS
    )
    quarantine = pa.array([document.get("quarantine") for document in documents], pa.large_string())
    found = decide(quarantine, signals, findings, first_row, profile)
    assert found.schema.equals(DECIDED)
    found.validate(full=True)
    return found.to_pylist()


@settings(max_examples=200)
@given(st.lists(DOCUMENT), st.lists(st.integers(0, 10), max_size=4))
def test_batches_decide_as_document_by_document(documents, sizes):
    findings = findings_of([row for row, document in enumerate(documents) if document["duplicate"]])
    borders = [0, *sorted(min(size, len(documents)) for size in sizes), len(documents)]
    found = [row for a, b in itertools.pairwise(borders) for row in decided(documents[a:b], a, findings)]
    assert found == [one_by_one(document, row) for row, document in enumerate(documents)]
    assert {row["outcome"] for row in found} <= set(OUTCOMES)


def test_the_first_that_holds_in_this_order():
    everything = {"quarantine": "not JSON", "n_words": 1, "gopher_mean_word_length": 9}
    documents = [everything, everything | {"quarantine": None}, {"n_words": 4}, {"n_words": 4}]
    found = decided(documents, 10, findings_of([9, 10, 11, 12, 14]))
    assert [row["outcome"] for row in found] == ["quarantined", "dropped", "duplicate", "kept"]
    assert [row["reason"] for row in found] == ["not JSON", "words", "exact", None]
    assert [row["failed"] for row in found] == [0, 0b11, 0, 0]
    assert [row["duplicate_of"] for row in found] == [None, None, "k12", None]
    assert (found[1]["measured"], found[1]["threshold"]) == (1.0, 3.0)


def test_a_profile_without_rules_drops_nothing():
    found = decided([{"n_words": 0}, {"quarantine": "x"}], 0, empty(FINDINGS), Profile("p", "d", ()))
    assert [row["outcome"] for row in found] == ["kept", "quarantined"]


def test_findings_of_a_part_are_one_batch():
    whole = findings_of([1, 3, 5])
    assert read_findings([whole.slice(0, 1), whole.slice(1)]).equals(whole)
    assert read_findings([]).equals(empty(FINDINGS))
