"""`assay reconcile` proves the sample lake, and sees what was taken from it, also when every checksum is made anew."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from corpora import manifest as manifest_files
from corpora.lake import Lake
from corpora.part import Part
from planner.reconcile import SUMS

CORPUS, OTHER = "press", "news"  # the first has two parts, and every outcome in the second
KINDS = ("documents", "signals", "signatures", "counts", "ledger", "tokens")
ROW = 100  # of one part, where any will do
Command = Callable[..., subprocess.CompletedProcess[str]]
Change = Callable[[pa.Table], pa.Table]


class Forger:
    """Changes a lake and makes every name, checksum and count of rows that speaks of the change anew."""

    def __init__(self, lake: Path) -> None:
        self.lake = Lake(lake)

    def path(self, corpus: str, kind: str) -> Path:
        """The corpus's last part of a kind."""
        room = self.lake.room(corpus)
        stage = "ingest" if kind in ("documents", "signals", "signatures") else "ledger"
        manifest = room.manifest(stage)
        parts = manifest["parts"] if stage == "ledger" else [p for t in manifest["tasks"] for p in t["parts"]]
        return Path(room.path(kind, parts[-1][kind]["sha256"]))

    def row(self, outcome: str) -> int:
        """The first row of `CORPUS` with an outcome: the same in every kind but tokens."""
        return pc.index(pq.read_table(self.path(CORPUS, "ledger"))["outcome"], outcome).as_py()

    def doc_id(self, kind: str, row: int) -> str:
        """The document in a row of `CORPUS`."""
        return pq.read_table(self.path(CORPUS, kind))["doc_id"][row].as_py()

    def change(self, corpus: str, kind: str, change: Change) -> None:
        """Write the last part of a kind anew, under the name of its new bytes, and list it wherever the old one was."""
        old = self.path(corpus, kind)
        table = change(pq.read_table(old))
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self.replace(old, buffer.getvalue(), len(table))

    def replace(self, old: Path, data: bytes, rows: int) -> None:
        """Put a part of these bytes in the place of an old one."""
        part = Part(sha256(data).hexdigest(), rows, len(data))
        old.unlink()
        old.with_name(f"part-{part.sha256}.parquet").write_bytes(data)
        gone = old.stem.removeprefix("part-")
        self._everywhere(lambda value: _relisted(value, gone, part))

    def edit(self, corpus: str, stage: str, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change a manifest, and name it anew wherever it is named."""
        manifest = self.lake.room(corpus).manifest(stage)
        edit(manifest)
        self._publish(corpus, stage, manifest)

    def settle(self, corpus: str) -> None:
        """Make the totals of a ledger's manifest agree with its rows."""
        room, totals = self.lake.room(corpus), Counter()
        columns = ("raw_bytes", "n_bytes", "n_chars", "n_tokens")
        for part in room.manifest("ledger")["parts"]:
            for batch in room.read("ledger", part["ledger"]["sha256"], ["outcome", "reason", *columns]):
                for row in batch.to_pylist():
                    values = (1, *(row[column] or 0 for column in columns))
                    for name, value in zip(SUMS, values):
                        totals[row["outcome"], row["reason"], name] += value
        pairs = {key[:2] for key in totals}
        rows = [{"outcome": o, "reason": r} | {name: totals[o, r, name] for name in SUMS} for o, r in pairs]
        self.edit(corpus, "ledger", lambda manifest: manifest.update(totals=rows))

    def _everywhere(self, change: Callable[[Any], Any]) -> None:
        for room in ("duplicates", "tokenizer", *self.lake.corpora()):
            for stage in self.lake.room(room).current():
                manifest = self.lake.room(room).manifest(stage)
                if (changed := change(manifest)) != manifest:
                    self._publish(room, stage, changed)

    def _publish(self, room: str, stage: str, manifest: dict[str, Any]) -> None:
        folder = Path(self.lake.root, room)
        current = json.loads((folder / "current").read_text())
        manifest, pages = manifest_files.split(manifest)
        old, current[stage] = current[stage], manifest_files.name_of(stage, manifest)
        (folder / "manifests" / old).unlink()
        (folder / "manifests" / current[stage]).write_text(json.dumps(manifest))
        for name, page in pages.items():
            (folder / "manifests" / name).write_bytes(page)
        (folder / "current").write_text(json.dumps(current))
        if old != current[stage]:
            self._everywhere(lambda value: _renamed(value, old, current[stage]))


def _relisted(value: Any, old: str, part: Part) -> Any:
    """A manifest with a part in the place of the old one of that sha256."""
    if isinstance(value, dict):
        relisted = {key: _relisted(entry, old, part) for key, entry in value.items()}
        return asdict(part) if value.get("sha256") == old else relisted
    if isinstance(value, list):
        return [_relisted(entry, old, part) for entry in value]
    return part.sha256 if value == old else value


def _renamed(value: Any, old: str, new: str) -> Any:
    return json.loads(json.dumps(value).replace(old, new))


@pytest.fixture
def forger(sample_lake: Path, tmp_path: Path) -> Forger:
    """Two corpora of the sample, to keep the copy small."""
    lake = tmp_path / "lake"
    for room in (CORPUS, OTHER, "duplicates", "tokenizer"):
        shutil.copytree(sample_lake / room, lake / room, ignore=shutil.ignore_patterns("receipts"))
    return Forger(tmp_path / "lake")


@pytest.fixture
def fails(command: Command, forger: Forger) -> Callable[..., None]:
    """Asserts that the lake does not reconcile, in one sentence that has these words."""

    def check(*words: str) -> None:
        done = command("reconcile", "--lake", forger.lake.root)
        assert done.returncode == 1
        assert done.stderr.startswith("assay: does not add up: ")
        assert done.stderr.count("\n") == 1
        for word in words:
            assert word in done.stderr
        assert "FAILS" in done.stdout

    return check


# What is changed in a table


def _without(row: int) -> Change:
    return lambda table: pa.concat_tables([table[:row], table[row + 1 :]])


def _twice(row: int) -> Change:
    return lambda table: pa.concat_tables([table[: row + 1], table[row:]])


def _swapped(row: int) -> Change:
    return lambda table: table.take([*range(row), row + 1, row, *range(row + 2, len(table))])


def _with(row: int, column: str, new: Callable[[Any], Any]) -> Change:
    """A table with another value of a column in one row."""

    def change(table: pa.Table) -> pa.Table:
        index, field = table.schema.get_field_index(column), table.schema.field(column)
        values = table[column].to_pylist()
        values[row] = new(values[row])
        return table.set_column(index, field, [pa.array(values, field.type)])

    return change


# The lake as it is


def test_the_lake_as_it_is_reconciles(command: Command, forger: Forger) -> None:
    done = command("reconcile", "--lake", forger.lake.root)
    assert done.returncode == 0
    assert "FAILS" not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_parts_with_the_same_rows_in_other_bytes_reconcile(command: Command, forger: Forger, kind: str) -> None:
    """What is forged below fails for what is in it, and for nothing else that the forger does."""
    before = forger.path(CORPUS, kind)
    forger.change(CORPUS, kind, lambda table: table)
    forger.settle(CORPUS)
    assert forger.path(CORPUS, kind) != before
    assert command("reconcile", "--lake", forger.lake.root).returncode == 0


# Rows taken away, put in twice, or moved


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("outcome", ["quarantined", "dropped", "duplicate", "kept"])
def test_a_row_is_gone_from_the_ledger(forger: Forger, fails: Callable[..., None], outcome: str, settled: bool) -> None:
    place = forger.path(CORPUS, "ledger")
    forger.change(CORPUS, "ledger", _without(forger.row(outcome)))
    if settled:
        forger.settle(CORPUS)
    assert not place.exists()
    fails(CORPUS, "rows", str(forger.path(CORPUS, "ledger")))


@pytest.mark.parametrize("change", [_without, _twice, _swapped], ids=["gone", "twice", "moved"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_one_kind_are_not_those_of_the_others(
    forger: Forger, fails: Callable[..., None], kind: str, change: Callable[[int], Change]
) -> None:
    forger.change(CORPUS, kind, change(ROW))
    forger.settle(CORPUS)
    fails(CORPUS)


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("outcome", ["quarantined", "dropped", "duplicate"])
def test_a_document_is_gone_from_all_that_was_written(
    forger: Forger, fails: Callable[..., None], outcome: str, settled: bool
) -> None:
    """All parts agree then; but the reader counted one more."""
    row = forger.row(outcome)
    for kind in KINDS[:-1]:
        forger.change(CORPUS, kind, _without(row))
    if settled:
        forger.settle(CORPUS)
    fails(CORPUS, "readers", "records")


# Tokens


def test_a_list_of_tokens_is_gone(forger: Forger, fails: Callable[..., None]) -> None:
    gone = forger.doc_id("tokens", ROW)
    forger.change(CORPUS, "tokens", _without(ROW))
    fails(CORPUS, f"where the ledger has {gone} next")


@pytest.mark.parametrize("counted", [False, True], ids=["in the list", "and in its length"])
def test_ids_are_cut_off_within_one_list(forger: Forger, fails: Callable[..., None], counted: bool) -> None:
    cut = forger.doc_id("tokens", ROW)
    forger.change(CORPUS, "tokens", _with(ROW, "tokens", lambda ids: ids[:-3]))
    if counted:
        forger.change(CORPUS, "tokens", _with(ROW, "n_tokens", lambda n: n - 3))
    fails(CORPUS, cut, "list of tokens")


def test_all_lists_of_a_corpus_are_gone(forger: Forger, fails: Callable[..., None]) -> None:
    def without_tokens(manifest: dict[str, Any]) -> None:
        manifest["parts"][-1]["tokens"] = None

    forger.edit(CORPUS, "ledger", without_tokens)
    fails(CORPUS, "tokens have document none")


@pytest.mark.parametrize("outcome", ["dropped", "duplicate", "kept"])
@pytest.mark.parametrize("kind", ["counts", "ledger"])
def test_tokens_are_counted_otherwise(forger: Forger, fails: Callable[..., None], kind: str, outcome: str) -> None:
    row = forger.row(outcome)
    forger.change(CORPUS, kind, _with(row, "n_tokens", lambda n: n - 1))
    forger.settle(CORPUS)
    fails(CORPUS, forger.doc_id("ledger", row), "counts and ledger")


def test_tokens_of_a_kept_document_are_counted_otherwise_everywhere(forger: Forger, fails: Callable[..., None]) -> None:
    """Counts, ledger and totals agree then; but the list is as long as it was."""
    row = forger.row("kept")
    for kind in ("counts", "ledger"):
        forger.change(CORPUS, kind, _with(row, "n_tokens", lambda n: n + 7))
    forger.settle(CORPUS)
    fails(CORPUS, forger.doc_id("ledger", row), "list of tokens")


def test_a_quarantined_record_has_tokens(forger: Forger, fails: Callable[..., None]) -> None:
    row = forger.row("quarantined")
    for kind in ("counts", "ledger"):
        forger.change(CORPUS, kind, _with(row, "n_tokens", lambda _: 0))
    fails(CORPUS, forger.doc_id("ledger", row), "counts and ledger")


# Outcomes


@pytest.mark.parametrize("settled", [False, True])
def test_the_reason_of_a_quarantine_is_changed(forger: Forger, fails: Callable[..., None], settled: bool) -> None:
    row = forger.row("quarantined")
    forger.change(CORPUS, "ledger", _with(row, "reason", lambda _: "bad luck"))
    if settled:
        forger.settle(CORPUS)
    fails(CORPUS, forger.doc_id("ledger", row), "documents and ledger")


def test_the_reason_of_a_quarantine_is_changed_everywhere(forger: Forger, fails: Callable[..., None]) -> None:
    """Documents, ledger and totals agree then; but the reader counted another reason."""
    row = forger.row("quarantined")
    forger.change(CORPUS, "ledger", _with(row, "reason", lambda _: "bad luck"))
    forger.change(CORPUS, "documents", _with(row, "quarantine", lambda _: "bad luck"))
    forger.settle(CORPUS)
    fails(CORPUS, "quarantined", "1 bad luck")


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("old, new", [("dropped", "kept"), ("duplicate", "kept"), ("kept", "dropped")])
def test_an_outcome_is_changed(forger: Forger, fails: Callable[..., None], old: str, new: str, settled: bool) -> None:
    row = forger.row(old)
    forger.change(CORPUS, "ledger", _with(row, "outcome", lambda _: new))
    if settled:
        forger.settle(CORPUS)
    fails(CORPUS, forger.doc_id("ledger", row), "tokens have document")


@pytest.mark.parametrize("outcome", ["quarantined", "dropped", "duplicate"])
def test_a_duplicate_is_of_a_document_that_is_not_kept(
    forger: Forger, fails: Callable[..., None], outcome: str
) -> None:
    row = forger.row("duplicate")
    copy, lost = forger.doc_id("ledger", row), forger.doc_id("ledger", forger.row(outcome))
    forger.change(CORPUS, "ledger", _with(row, "duplicate_of", lambda _: lost))
    fails("lake", f"document {copy} is a duplicate of {lost}, which is not kept")


@pytest.mark.parametrize("lost", [None, "0" * 32])
def test_a_duplicate_is_of_no_document(forger: Forger, fails: Callable[..., None], lost: str | None) -> None:
    row = forger.row("duplicate")
    forger.change(CORPUS, "ledger", _with(row, "duplicate_of", lambda _: lost))
    fails("lake", f"document {forger.doc_id('ledger', row)} is a duplicate of {lost}")


# What readers counted


def _less(what: str, task: bool, total: bool) -> Callable[[dict[str, Any]], None]:
    """One less of what was counted, in the last task, in the totals, or in both."""

    def edit(manifest: dict[str, Any]) -> None:
        for counts in [manifest["tasks"][-1]["counts"]] * task + [manifest["totals"]] * total:
            if isinstance(counts[what], dict):
                counts[what] = {"blank line": 7}
            else:
                counts[what] -= 1

    return edit


@pytest.mark.parametrize("task, total", [(True, False), (False, True), (True, True)], ids=["task", "totals", "both"])
@pytest.mark.parametrize("what", ["records", "raw_bytes"])
def test_readers_counted_one_less(
    forger: Forger, fails: Callable[..., None], what: str, task: bool, total: bool
) -> None:
    forger.edit(CORPUS, "ingest", _less(what, task, total))
    fails(CORPUS, what.replace("_", " ") if task and total else "readers")


def test_readers_counted_one_less_and_the_manifest_lists_one_less(forger: Forger, fails: Callable[..., None]) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        _less("records", True, True)(manifest)
        for kind in ("documents", "signals", "signatures"):
            manifest["tasks"][-1]["parts"][-1][kind]["rows"] -= 1

    forger.edit(CORPUS, "ingest", edit)
    fails(CORPUS, "rows of documents")


@pytest.mark.parametrize("task, total", [(True, False), (False, True)], ids=["task", "totals"])
@pytest.mark.parametrize("what", ["containers", "decoded_bytes", "skipped", "skipped_bytes", "quarantined"])
def test_what_tasks_counted_is_not_the_total(
    forger: Forger, fails: Callable[..., None], what: str, task: bool, total: bool
) -> None:
    forger.edit(CORPUS, "ingest", _less(what, task, total))
    fails(CORPUS, "readers", what)


@pytest.mark.parametrize("column", SUMS)
def test_a_total_is_not_the_sum_of_the_rows(forger: Forger, fails: Callable[..., None], column: str) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["totals"][-1][column] += 1

    forger.edit(CORPUS, "ledger", edit)
    fails(CORPUS, "totals", column)


def test_a_total_is_gone(forger: Forger, fails: Callable[..., None]) -> None:
    forger.edit(CORPUS, "ledger", lambda manifest: manifest["totals"].pop())
    fails(CORPUS, "totals")


def test_totals_of_a_part_are_not_those_of_its_rows(forger: Forger, fails: Callable[..., None]) -> None:
    """The next run would add them up."""

    def more(manifest: dict[str, Any]) -> None:
        manifest["parts"][0]["totals"][-1]["tokens"] += 1

    forger.edit(CORPUS, "ledger", more)
    fails(CORPUS, "totals", "are not those of the rows of")


# Nothing made anew


def _one_bit_of(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_of_a_part_is_flipped(forger: Forger, fails: Callable[..., None], kind: str) -> None:
    part = forger.path(CORPUS, kind)
    _one_bit_of(part)
    fails(CORPUS, "parts", f"{part} is damaged")


def test_a_part_is_cut(forger: Forger, fails: Callable[..., None]) -> None:
    part = forger.path(CORPUS, "tokens")
    part.write_bytes(part.read_bytes()[:-1])
    fails(CORPUS, "parts", f"{part} is damaged")


def test_a_part_is_deleted(forger: Forger, fails: Callable[..., None]) -> None:
    part = forger.path(CORPUS, "tokens")
    part.unlink()
    fails(CORPUS, "parts", f"{part} is gone")


def test_findings_are_damaged(forger: Forger, fails: Callable[..., None]) -> None:
    findings = next(p["findings"] for p in forger.lake.room("duplicates").manifest("duplicates")["parts"])
    _one_bit_of(Path(forger.lake.room("duplicates").path("findings", findings["sha256"])))
    fails("duplicates", "parts", "is damaged")


@pytest.mark.parametrize("stage", ["ingest", "ledger"])
def test_a_manifest_is_edited(forger: Forger, fails: Callable[..., None], stage: str) -> None:
    room = forger.lake.room(CORPUS)
    path = Path(room.root, "manifests", room.current()[stage])
    path.write_text(path.read_text().replace(CORPUS, "pless", 1))
    fails(CORPUS, "manifests", path.name, "changed")


@pytest.mark.parametrize("stage", ["ingest", "ledger"])
def test_a_manifest_is_gone(command: Command, forger: Forger, stage: str) -> None:
    room = forger.lake.room(CORPUS)
    path = Path(room.root, "manifests", room.current()[stage])
    path.unlink()
    done = command("reconcile", "--lake", forger.lake.root)
    assert done.returncode == 1
    assert path.name in done.stderr


@pytest.mark.parametrize("data", [b"", b"PAR1 no more PAR1"])
def test_a_part_that_is_no_parquet(forger: Forger, fails: Callable[..., None], data: bytes) -> None:
    old = forger.path(CORPUS, "ledger")
    forger.replace(old, data, pq.read_metadata(old).num_rows)
    fails(CORPUS, "rows", "cannot be read")


def test_another_tokenizer_than_the_one_that_counted(forger: Forger, fails: Callable[..., None]) -> None:
    (path,) = Path(forger.lake.root, "tokenizer").glob("tokenizer-*.json")
    path.write_bytes(path.read_bytes().replace(b"BPE", b"bpe"))
    fails("tokenizer", "is gone or was changed")


# States of a lake


def test_a_corpus_that_is_not_tokenized(forger: Forger, fails: Callable[..., None]) -> None:
    current = Path(forger.lake.room(CORPUS).root, "current")
    current.write_text(json.dumps({"ingest": json.loads(current.read_text())["ingest"]}))
    fails(CORPUS, f"run `assay tokenize {CORPUS}`")


def test_documents_are_others_than_the_ledger_was_made_from(forger: Forger, fails: Callable[..., None]) -> None:
    forger.edit(CORPUS, "ingest", lambda manifest: manifest["tasks"].reverse())
    fails(CORPUS, "the ledger was made from other documents", f"run `assay tokenize {CORPUS}`")


def test_every_place_is_told_apart(forger: Forger, command: Command) -> None:
    """As one JSON object: which checks hold, and which do not."""
    forger.edit(OTHER, "ledger", lambda manifest: manifest["totals"].pop())
    forger.change(CORPUS, "tokens", _without(ROW))
    done = command("reconcile", "--lake", forger.lake.root, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["holds"] is False
    assert _places(found["checks"]) == {(OTHER, "totals"), (CORPUS, "rows")}


def _places(checks: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(check["room"], check["check"]) for check in checks if not check["holds"]}
