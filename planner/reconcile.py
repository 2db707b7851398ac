"""Proof that every document is accounted for, or the first place where one is not.

Three records are made independently: what readers counted while they cut the raw files (ingest manifest), the rows of
the ledger, and the lengths of the token lists. They are compared with each other and with the manifests' totals, so
that a row removed from any of them shows, also when all checksums are made anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from corpora.errors import LakeError
from corpora.lake import DUPLICATES, TOKENIZER, Lake
from corpora.part import listed, sha256_of
from corpora.room import EXTENSION, Room
from planner.ledger import parquet, paths_of


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
    lake = Lake(lake.url).at_once()  # which has read no manifest yet
    corpora = lake.corpora()
    broken = False
    for name in [*corpora, DUPLICATES, TOKENIZER]:
        for check in _whole(lake.room(name)):
            broken |= not check.holds
            yield check
    yield from _tokenizer(lake)
    if broken:  # what is damaged cannot be read further
        return
    connection = duckdb.connect()
    if not lake.local:
        connection.register_filesystem(lake.fs)
    for name in corpora:
        yield from _corpus(lake.room(name), connection)
    yield from _survivors(lake, connection)


def _whole(room: Room) -> Iterator[Check]:
    """Manifests are named by their content, parts by their bytes, and all that is listed is there."""
    parts: dict[tuple[str, str], int] = {}
    for stage in room.current():
        try:
            manifest = room.manifest(stage)
        except LakeError as error:
            yield Check(room.name, "manifests", False, str(error))
            return
        parts |= {(kind, part["sha256"]): part["bytes"] for kind, part in listed(manifest)}
    for kind in EXTENSION if room.name == DUPLICATES else ():  # no manifest lists them; without a note runs use them
        parts |= {(kind, sha256): size for sha256, size in room.sizes(kind).items()}
    intact = True
    for kind, sha256 in parts:
        if fault := _damage(room, kind, sha256):
            intact = False
            yield Check(room.name, "parts", False, fault)
    if room.current() and intact:
        detail = f"{len(parts)} parts, {sum(parts.values()):,} bytes, each with the bytes it is named by"
        yield Check(room.name, "parts", True, detail)


def _damage(room: Room, kind: str, sha256: str) -> str | None:
    """What is wrong with the bytes of a part, if anything; then it is noted, so that the next run makes it anew."""
    path = room.path(kind, sha256)
    try:
        with room.open(kind, sha256) as file:
            if sha256_of(file) == sha256:
                return None
    except LakeError:
        return f"{path} is gone; the next `assay tokenize` makes it anew"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    wrong = f"{path} is damaged: its bytes are not those it is named by"
    try:
        room.note_damaged(kind, sha256)
    except OSError as error:
        return f"{wrong}; delete it to have it made anew, since no note of it could be left ({error.strerror or error})"
    return f"{wrong}; the next `assay tokenize` makes it anew"


def _tokenizer(lake: Lake) -> Iterator[Check]:
    """The tokenizer in force is there, with the bytes that its fingerprint names."""
    manifest = lake.room(TOKENIZER).manifest("tokenizer")
    if manifest is None:
        return
    path = f"{lake.root}/{TOKENIZER}/tokenizer-{manifest['fingerprint']}.json"
    try:
        with lake.fs.open(path, "rb") as file:
            intact = sha256_of(file) == manifest["fingerprint"]
    except FileNotFoundError:
        intact = False
    detail = f"{path} is the one that counted" if intact else f"{path} is gone or was changed"
    yield Check(TOKENIZER, "tokenizer", intact, detail)


def _corpus(room: Room, connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    """What readers counted, the ledger and the token lists of one corpus agree."""
    name, ingest, ledger = room.name, room.manifest("ingest"), room.manifest("ledger")
    yield _counted(name, ingest)
    if ledger is None:
        yield Check(name, "ledger", False, f"{name} is not tokenized yet: run `assay tokenize {name}`")
        return
    ingested = [part for task in ingest["tasks"] for part in task["parts"]]
    sources = [(part["documents"]["sha256"], part["signals"]["sha256"]) for part in ingested]
    if sources != [(part["documents"], part["signals"]) for part in ledger["parts"]]:
        yield Check(
            name,
            "ledger",
            False,
            f"the ledger was made from other documents than are in force: run `assay tokenize {name}`",
        )
        return
    rows, totals, lists, wrong = Counter(), Counter(), 0, None
    for found, made in zip(ingested, ledger["parts"]):
        parts = {kind: (made if kind in MADE else found)[kind] for kind in (*FOUND, *MADE)}
        files = {kind: _file(room, kind, part) for kind, part in parts.items()}
        try:
            fault = next(_faults(connection, files), None)
            groups = connection.execute(TOTALS.format(**files)).fetchall()
            lists += connection.execute(f"SELECT coalesce(sum(len(tokens)), 0) FROM {files['tokens']}").fetchone()[0]
        except duckdb.Error as error:
            fault = _unreadable(error)
        if fault := fault or next(_miscounted(room, parts, groups), None):
            yield Check(name, "rows", False, fault)
            return
        if wrong is None and _said(made["totals"]) != {(o, r, c): n for o, r, *ns in groups for c, n in zip(SUMS, ns)}:
            wrong = f"the manifest's totals are not those of the rows of {files['ledger']}"
        for outcome, reason, *sums in groups:
            rows[outcome, reason] += sums[0]
            totals.update({(outcome, reason, column): value for column, value in zip(SUMS, sums)})
    detail = (
        f"{rows.total():,} documents: same ids in the same order, same sizes and tokens in {', '.join(FOUND + MADE)}"
    )
    yield Check(name, "rows", True, detail)

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
    said = _said(ledger["totals"])
    if key := next((key for key in said.keys() | totals.keys() if said.get(key, 0) != totals.get(key, 0)), None):
        wrong = f"{key}: the manifest says {said.get(key)}, the rows {totals.get(key)}"
    detail = wrong or f"{len(ledger['totals'])} outcomes and reasons"
    yield Check(name, "totals", wrong is None, detail)


def _said(totals: list[dict[str, Any]]) -> dict[tuple[str, str | None, str], int]:
    """(outcome, reason, what is summed) -> sum, of totals as a manifest lists them."""
    return {(row["outcome"], row["reason"], column): row[column] for row in totals for column in SUMS}


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
    for what, said in ingest["totals"].items():
        counts = [task["counts"][what] for task in ingest["tasks"]]
        found = dict(sum(map(Counter, counts), Counter())) if isinstance(said, dict) else sum(counts)
        if found != said:
            detail = f"{what}: the tasks counted {_shown(found)}, the total says {_shown(said)}"
            return Check(name, "readers", False, detail)
    skipped = sum(ingest["totals"]["skipped"].values())
    totals = ingest["totals"]
    return Check(
        name,
        "readers",
        True,
        f"{totals['containers']:,} containers, {totals['records']:,} records, {skipped:,} pieces skipped",
    )


def _faults(connection: duckdb.DuckDBPyConnection, files: dict[str, str]) -> Iterator[str]:
    """Documents of one part that its files do not agree about."""
    for kind, sql, what in FAULTS:
        if found := connection.execute(sql.format(**files)).fetchone():
            expected, other = found
            same = f"document {expected} {what}"
            moved = f"{kind} have document {other or 'none'} where the ledger has {expected or 'none'} next"
            yield f"{same if expected == other else moved}: {files['ledger']}"


def _miscounted(room: Room, parts: dict[str, dict[str, Any] | None], groups: list[tuple[Any, ...]]) -> Iterator[str]:
    """Files of one part that have not as many rows as the manifests list."""
    rows = sum(n for _, _, n, *_ in groups)
    kept = sum(n for outcome, _, n, *_ in groups if outcome == "kept")
    for kind, part in parts.items():
        there = kept if kind == "tokens" else rows
        listed = part["rows"] if part else 0
        if listed != there:
            yield f"the manifest lists {listed:,} rows of {kind} where there are {there:,}: {_file(room, kind, part)}"


def _survivors(lake: Lake, connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    """Every id is unique in the lake, and every duplicate names a document that is kept."""
    files = list(paths_of(lake, "ledger"))
    if not files:
        return
    try:
        yield from _once_and_kept(parquet(lake, files), connection)
    except duckdb.Error as error:
        yield Check("lake", "documents", False, _unreadable(error))


def _once_and_kept(ledger: str, connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    twice = connection.execute(f"SELECT doc_id FROM {ledger} GROUP BY doc_id HAVING count(*) > 1 LIMIT 1").fetchone()
    detail = f"document {twice[0]} stands twice in the ledger" if twice else "every document stands once in the ledger"
    yield Check("lake", "documents", twice is None, detail)
    duplicates = f"SELECT doc_id, duplicate_of FROM {ledger} WHERE outcome = 'duplicate'"
    kept = f"SELECT doc_id AS kept FROM {ledger} WHERE outcome = 'kept'"
    lost = connection.execute(f"FROM ({duplicates}) ANTI JOIN ({kept}) ON duplicate_of = kept LIMIT 1").fetchone()
    n = connection.execute(f"SELECT count(*) FROM ({duplicates})").fetchone()[0]
    detail = (
        f"document {lost[0]} is a duplicate of {lost[1]}, which is not kept"
        if lost
        else f"{n:,} duplicates, each of a document that is kept"
    )
    yield Check("lake", "duplicates", lost is None, detail)


def _file(room: Room, kind: str, part: dict[str, Any] | None) -> str:
    """A part as a table function; the empty relation where a part has none of the kind."""
    if part is None:
        return "(SELECT NULL::VARCHAR AS doc_id, 0 AS n_tokens, []::INTEGER[] AS tokens WHERE false)"
    return parquet(room.lake, [room.path(kind, part["sha256"])])


def _unreadable(error: duckdb.Error) -> str:
    return f"a part cannot be read: {str(error).splitlines()[0]}"


def _shown(value: int | dict[str, int]) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else ", ".join(f"{n:,} {reason}" for reason, n in sorted(value.items())) or "none"
    )


FOUND = ("documents", "signals", "signatures")
MADE = ("counts", "ledger", "tokens")
SUMS = ("documents", "raw_bytes", "bytes", "chars", "tokens")
TOTALS = """
    SELECT outcome, reason, count(*), sum(raw_bytes)::BIGINT, coalesce(sum(n_bytes), 0)::BIGINT,
        coalesce(sum(n_chars), 0)::BIGINT, coalesce(sum(n_tokens), 0)::BIGINT
    FROM {ledger} GROUP BY ALL"""
# Rows of a part are aligned in all its files: compared by position, the missing, the doubled and the displaced show.
FAULTS = (
    (
        "documents",
        "SELECT l.doc_id, d.doc_id FROM {ledger} l POSITIONAL JOIN {documents} d"
        " WHERE d.doc_id IS DISTINCT FROM l.doc_id OR d.raw_bytes <> l.raw_bytes"
        " OR d.n_bytes IS DISTINCT FROM l.n_bytes"
        " OR d.quarantine IS DISTINCT FROM CASE outcome WHEN 'quarantined' THEN reason END LIMIT 1",
        "is not the same in documents and ledger",
    ),
    (
        "signals",
        "SELECT l.doc_id, s.doc_id FROM {ledger} l POSITIONAL JOIN {signals} s"
        " WHERE s.doc_id IS DISTINCT FROM l.doc_id OR s.n_words IS DISTINCT FROM l.n_words LIMIT 1",
        "has not the same number of words in signals and ledger",
    ),
    (
        "signatures",
        "SELECT l.doc_id, s.doc_id FROM {ledger} l POSITIONAL JOIN {signatures} s"
        " WHERE s.doc_id IS DISTINCT FROM l.doc_id OR s.content_hash IS DISTINCT FROM l.content_hash LIMIT 1",
        "has not the same content in signatures and ledger",
    ),
    (
        "counts",
        "SELECT l.doc_id, c.doc_id FROM {ledger} l POSITIONAL JOIN {counts} c"
        " WHERE c.doc_id IS DISTINCT FROM l.doc_id OR c.n_tokens IS DISTINCT FROM l.n_tokens"
        " OR (l.n_tokens IS NULL) <> (outcome = 'quarantined') LIMIT 1",
        "has not the same number of tokens in counts and ledger",
    ),
    (
        "tokens",
        "SELECT l.doc_id, t.doc_id FROM (SELECT doc_id, n_tokens FROM {ledger} WHERE outcome = 'kept') l"
        " POSITIONAL JOIN (SELECT doc_id, n_tokens, len(tokens) AS ids FROM {tokens}) t"
        " WHERE t.doc_id IS DISTINCT FROM l.doc_id OR ids <> l.n_tokens OR t.n_tokens <> l.n_tokens LIMIT 1",
        "has not as many ids in its list of tokens as the ledger counts",
    ),
)
