"""Proof that every document is accounted for, or the first place where one is not.

Three records are made independently: what readers counted while they cut the raw files (ingest manifest), the rows of the
ledger, and the lengths of the token lists. They are compared with each other and with the manifests' totals, so that a row
removed from any of them shows, also when all checksums are made anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from corpora.config import digest
from corpora.lake import DUPLICATES, TOKENIZER, Lake, LakeError, Room
from corpora.part import sha256_of


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    room: str
    check: str
    holds: bool
    detail: str
    """What was compared, or where it does not add up."""


def reconcile(lake: Lake) -> Iterator[Check]:
    """Every check of a lake, cheap ones first."""
    corpora = lake.corpora()
    broken = False
    for name in [*corpora, DUPLICATES, TOKENIZER]:
        for check in _whole(lake.room(name)):
            broken |= not check.holds
            yield check
    if broken:  # what is damaged cannot be read further
        return
    connection = duckdb.connect()
    if not lake.local:
        connection.register_filesystem(lake.fs)
    for name in corpora:
        yield from _corpus(lake.room(name), connection)
    yield from _survivors(lake, corpora, connection)


def _whole(room: Room) -> Iterator[Check]:
    """Manifests are named by their content, parts by their bytes, and all that is listed is there."""
    parts = n_bytes = 0
    for stage in room.current():
        try:
            manifest = room.manifest(stage)
        except LakeError as error:
            yield Check(room.name, "manifests", False, str(error))
            return
        if room.current()[stage] != f"{stage}-{digest(manifest)}.json":
            yield Check(
                room.name, "manifests", False, f"{room.current()[stage]} is not named by its content: it was changed"
            )
            return
        for kind, part in _listed(manifest):
            try:
                with room.open(kind, part["sha256"]) as file:
                    intact = sha256_of(file) == part["sha256"]
            except LakeError:
                yield Check(room.name, "parts", False, f"{room.path(kind, part['sha256'])} is gone")
                return
            if not intact:
                yield Check(
                    room.name,
                    "parts",
                    False,
                    f"{room.path(kind, part['sha256'])} is damaged: its bytes are not those it is named by",
                )
                return
            parts, n_bytes = parts + 1, n_bytes + part["bytes"]
    if room.current():
        yield Check(room.name, "parts", True, f"{parts} parts, {n_bytes:,} bytes, each with the bytes it is named by")


def _listed(value: Any, kind: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind, part) of every part that a manifest lists."""
    if isinstance(value, dict):
        if value.keys() == {"sha256", "rows", "bytes"}:
            yield kind, value
            return
        for name, entry in value.items():
            yield from _listed(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from _listed(entry, kind)


def _corpus(room: Room, connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    """What readers counted, the ledger and the token lists of one corpus agree."""
    name, ingest, ledger = room.name, room.manifest("ingest"), room.manifest("ledger")
    yield _counted(name, ingest)
    if ledger is None:
        yield Check(name, "ledger", False, f"{name} is not tokenized yet: run `assay tokenize {name}`")
        return
    ingested = [part["documents"]["sha256"] for task in ingest["tasks"] for part in task["parts"]]
    if ingested != [part["documents"] for part in ledger["parts"]]:
        yield Check(
            name,
            "ledger",
            False,
            f"the ledger was made from other documents than are in force: run `assay tokenize {name}`",
        )
        return
    rows, totals, lists = Counter(), Counter(), 0
    for part in ledger["parts"]:
        paths = {kind: _file(room, kind, part[kind]) for kind in ("documents", "counts", "ledger", "tokens")}
        if fault := next(_faults(connection, paths), None):
            yield Check(name, "rows", False, fault)
            return
        for outcome, reason, *sums in connection.execute(TOTALS.format(**paths)).fetchall():
            rows[outcome, reason] += sums[0]
            totals.update({(outcome, reason, column): value for column, value in zip(SUMS, sums)})
        lists += connection.execute(f"SELECT coalesce(sum(len(tokens)), 0) FROM {paths['tokens']}").fetchone()[0]
    yield Check(
        name,
        "rows",
        True,
        f"{rows.total():,} documents: same ids, bytes and tokens in documents, counts, ledger and tokens",
    )

    counted, quarantined = (
        ingest["totals"],
        {reason: n for (outcome, reason), n in rows.items() if outcome == "quarantined"},
    )
    raw_bytes = sum(value for (*_, column), value in totals.items() if column == "raw_bytes")
    for what, readers, found in (
        ("records", counted["records"], rows.total()),
        ("raw bytes", counted["raw_bytes"], raw_bytes),
        ("quarantined", counted["quarantined"], quarantined),
    ):
        detail = f"readers counted {_shown(readers)}, the ledger has {_shown(found)}"
        yield Check(name, what, readers == found, detail)
    kept = totals["kept", None, "tokens"]
    yield Check(name, "tokens", kept == lists, f"{kept:,} tokens of kept documents, {lists:,} ids in the token lists")
    said = {(row["outcome"], row["reason"], column): row[column] for row in ledger["totals"] for column in SUMS}
    wrong = next((key for key in said.keys() | totals.keys() if said.get(key, 0) != totals.get(key, 0)), None)
    detail = (
        f"{len(ledger['totals'])} outcomes and reasons"
        if wrong is None
        else f"{wrong}: the manifest says {said.get(wrong)}, the rows {totals.get(wrong)}"
    )
    yield Check(name, "totals", wrong is None, detail)


def _counted(name: str, ingest: dict[str, Any]) -> Check:
    """The ingest manifest's counts add up, task by task, to the rows of its parts and to its totals."""
    for task in ingest["tasks"]:
        rows = sum(part["documents"]["rows"] for part in task["parts"])
        if task["counts"]["records"] != rows:
            place = task["inputs"][0]["path"]
            return Check(
                name,
                "readers",
                False,
                f"the reader of {place} counted {task['counts']['records']:,} records, its parts have {rows:,} rows",
            )
    for what in ("containers", "records", "raw_bytes", "decoded_bytes"):
        found = sum(task["counts"][what] for task in ingest["tasks"])
        if found != ingest["totals"][what]:
            return Check(
                name,
                "readers",
                False,
                f"{what}: the tasks counted {found:,}, the total says {ingest['totals'][what]:,}",
            )
    skipped = sum(ingest["totals"]["skipped"].values())
    totals = ingest["totals"]
    return Check(
        name,
        "readers",
        True,
        f"{totals['containers']:,} containers, {totals['records']:,} records, {skipped:,} pieces skipped",
    )


def _faults(connection: duckdb.DuckDBPyConnection, paths: dict[str, str]) -> Iterator[str]:
    """Documents of one part that its files do not agree about."""
    for sql, what in FAULTS:
        found = connection.execute(sql.format(**paths)).fetchone()
        if found:
            yield f"document {found[0]} {what} ({paths['ledger']})"


def _survivors(lake: Lake, corpora: list[str], connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    """Every id is unique in the lake, and every duplicate names a document that is kept."""
    files = [
        room.path("ledger", part["ledger"]["sha256"])
        for room in map(lake.room, corpora)
        for part in (room.manifest("ledger") or {"parts": []})["parts"]
    ]
    if not files:
        return
    ledger = f"read_parquet({[path if lake.local else lake.fs.unstrip_protocol(path) for path in files]})"
    twice = connection.execute(f"SELECT doc_id FROM {ledger} GROUP BY doc_id HAVING count(*) > 1 LIMIT 1").fetchone()
    detail = f"document {twice[0]} stands twice in the ledger" if twice else "every document stands once in the ledger"
    yield Check("lake", "documents", twice is None, detail)
    duplicates = f"SELECT doc_id, duplicate_of FROM {ledger} WHERE outcome = 'duplicate'"
    lost = connection.execute(
        f"SELECT doc_id, duplicate_of FROM ({duplicates}) ANTI JOIN (SELECT doc_id AS kept FROM {ledger} WHERE outcome = 'kept') ON duplicate_of = kept LIMIT 1"
    ).fetchone()
    n = connection.execute(f"SELECT count(*) FROM ({duplicates})").fetchone()[0]
    detail = (
        f"document {lost[0]} is a duplicate of {lost[1]}, which is not kept"
        if lost
        else f"{n:,} duplicates, each of a document that is kept"
    )
    yield Check("lake", "duplicates", lost is None, detail)


def _file(room: Room, kind: str, part: dict[str, Any] | str | None) -> str:
    """A part as a table function; the empty relation where a part has none of the kind."""
    if part is None:
        return "(SELECT NULL::VARCHAR AS doc_id, 0 AS n_tokens, []::INTEGER[] AS tokens WHERE false)"
    sha256 = part if isinstance(part, str) else part["sha256"]
    path = room.path(kind, sha256)
    return f"read_parquet({(path if room.lake.local else room.fs.unstrip_protocol(path))!r})"


def _shown(value: int | dict[str, int]) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else ", ".join(f"{n:,} {reason}" for reason, n in sorted(value.items())) or "none"
    )


SUMS = ("documents", "raw_bytes", "bytes", "chars", "tokens")
TOTALS = """
    SELECT outcome, reason, count(*), sum(raw_bytes)::BIGINT, coalesce(sum(n_bytes), 0)::BIGINT,
        coalesce(sum(n_chars), 0)::BIGINT, coalesce(sum(n_tokens), 0)::BIGINT
    FROM {ledger} GROUP BY ALL"""
FAULTS = (
    (
        "SELECT coalesce(d.doc_id, l.doc_id) FROM {documents} d FULL JOIN {ledger} l USING (doc_id)"
        " WHERE d.doc_id IS NULL OR l.doc_id IS NULL OR d.raw_bytes <> l.raw_bytes"
        " OR d.quarantine IS DISTINCT FROM CASE outcome WHEN 'quarantined' THEN reason END LIMIT 1",
        "is not the same in documents and ledger",
    ),
    (
        "SELECT coalesce(c.doc_id, l.doc_id) FROM {counts} c FULL JOIN {ledger} l USING (doc_id)"
        " WHERE c.doc_id IS NULL OR l.doc_id IS NULL OR c.n_tokens IS DISTINCT FROM l.n_tokens"
        " OR (l.n_tokens IS NULL) <> (outcome = 'quarantined') LIMIT 1",
        "has not the same number of tokens in counts and ledger",
    ),
    (
        "SELECT coalesce(t.doc_id, l.doc_id) FROM {tokens} t FULL JOIN (FROM {ledger} WHERE outcome = 'kept') l USING (doc_id)"
        " WHERE t.doc_id IS NULL OR l.doc_id IS NULL OR len(t.tokens) <> l.n_tokens OR t.n_tokens <> l.n_tokens LIMIT 1",
        "is kept with another list of tokens than the ledger counts, or not kept with one",
    ),
)
