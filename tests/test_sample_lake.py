"""`assay tokenize --all` on the embedded sample: every document that was planted is accounted for, to the last one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import catalog
from corpora.lake import DUPLICATES, TOKENIZER, Lake
from corpora.sample import CORPORA, PLANTED

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def ledger(sample_lake: Path) -> dict[str, list[dict]]:
    """Rows of every corpus's ledger."""
    found = {}
    for name in CORPORA:
        room = Lake(sample_lake).room(name)
        parts = [part["ledger"]["sha256"] for part in room.manifest("ledger")["parts"]]
        found[name] = [row for sha256 in parts for batch in room.read("ledger", sha256) for row in batch.to_pylist()]
    return found


def _reasons(rows: list[dict], outcome: str) -> dict[str, int]:
    return dict(Counter(row["reason"] for row in rows if row["outcome"] == outcome))


def test_all_corpora_are_in_the_lake(sample_lake: Path) -> None:
    lake = Lake(sample_lake)
    assert lake.corpora() == sorted(CORPORA) == sorted(PLANTED)
    assert lake.sample is True


@pytest.mark.parametrize("corpus", CORPORA)
def test_readers_counted_what_was_planted(sample_lake: Path, corpus: str) -> None:
    counted = Lake(sample_lake).room(corpus).manifest("ingest")["totals"]
    planted = PLANTED[corpus]
    assert counted["containers"] == planted.containers
    assert counted["records"] == planted.records
    assert counted["skipped"] == planted.skipped
    assert counted["quarantined"] == planted.quarantined


@pytest.mark.parametrize("corpus", CORPORA)
def test_ledger_has_what_was_planted(ledger: dict[str, list[dict]], corpus: str) -> None:
    rows, planted = ledger[corpus], PLANTED[corpus]
    dropped = {
        "word_count": planted.too_few_words,
        "mean_word_length": planted.word_length,
        "alphabetic_words": planted.alphabetic,
    }
    duplicates = planted.exact_duplicates_within + sum(planted.exact_duplicates_across.values())
    gone = sum(planted.quarantined.values()) + sum(dropped.values()) + duplicates

    assert len(rows) == planted.records
    assert _reasons(rows, "quarantined") == planted.quarantined
    assert _reasons(rows, "dropped") == {rule: n for rule, n in dropped.items() if n}
    assert _reasons(rows, "duplicate") == ({"exact": duplicates} if duplicates else {})
    assert _reasons(rows, "kept") == {None: planted.records - gone}


@pytest.mark.parametrize("corpus", CORPORA)
def test_duplicates_across_corpora_are_of_those_planted(ledger: dict[str, list[dict]], corpus: str) -> None:
    home = {row["doc_id"]: name for name, rows in ledger.items() for row in rows}
    across = Counter(home[row["duplicate_of"]] for row in ledger[corpus] if row["outcome"] == "duplicate")
    within = across.pop(corpus, 0)
    assert within == PLANTED[corpus].exact_duplicates_within
    assert across == PLANTED[corpus].exact_duplicates_across


def test_every_duplicate_is_of_a_kept_document_that_goes_before_it(ledger: dict[str, list[dict]]) -> None:
    rows = {row["doc_id"]: row for rows in ledger.values() for row in rows}
    assert len(rows) == sum(planted.records for planted in PLANTED.values())
    priority = {name: catalog.load(name).priority for name in CORPORA}
    duplicates = [row for row in rows.values() if row["outcome"] == "duplicate"]
    assert duplicates
    for row in duplicates:
        kept = rows[row["duplicate_of"]]
        assert kept["outcome"] == "kept"
        assert kept["content_hash"] == row["content_hash"]
        assert priority[kept["corpus"]] <= priority[row["corpus"]]


def test_what_is_dropped_failed_its_threshold(ledger: dict[str, list[dict]]) -> None:
    rules = ("word_count", "mean_word_length", "alphabetic_words")  # in the order of the profile: bits of `failed`
    for row in (row for rows in ledger.values() for row in rows):
        failed = [rule for bit, rule in enumerate(rules) if row["failed"] >> bit & 1]
        assert (row["reason"] if row["outcome"] == "dropped" else None) == (failed[0] if failed else None)
        assert (row["measured"] is None) == (row["threshold"] is None) == (row["outcome"] != "dropped")
        if row["reason"] == "word_count":
            assert row["measured"] == row["n_words"] < row["threshold"] == 50


def test_the_sample_reconciles(command: Command, sample_lake: Path) -> None:
    done = command("reconcile", "--lake", sample_lake, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == ""
    assert found["holds"] is True
    assert {check["room"] for check in found["checks"]} == {*CORPORA, DUPLICATES, TOKENIZER, "lake"}
    assert [check for check in found["checks"] if not check["holds"]] == []


def test_all_is_current(command: Command, sample_lake: Path) -> None:
    found = json.loads(command("status", "--lake", sample_lake, "--json").stdout)
    assert found["sample"] is True
    assert found["tokenizer"]["provisional"] is True
    assert {row["corpus"]: (row["state"], row["command"]) for row in found["corpora"]} == dict.fromkeys(
        CORPORA, ("current", None)
    )


def test_a_second_run_does_nothing(
    command: Command, sample_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sample_lake.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    published = _published(tmp_path / "lake-sample")

    again = command("tokenize", "--all")

    assert again.returncode == 0
    assert _published(tmp_path / "lake-sample") == published
    for corpus in CORPORA:
        assert f"{corpus}: documents: up to date." in again.stderr
        assert f"{corpus}: ledger and tokens: up to date." in again.stderr
    assert "duplicates: up to date." in again.stderr
    assert "Encoding" not in again.stderr


def _published(lake: Path) -> dict[str, bytes]:
    """All that is in force and all parts there are, finished or left behind."""
    files = [
        *lake.glob("*/current"),
        *lake.glob("*/manifests/*"),
        *lake.glob("*/*/part-*"),
        *lake.glob("*/receipts/*/*"),
    ]
    return {str(path.relative_to(lake)): path.read_bytes() for path in files}
