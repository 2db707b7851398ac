"""The lake as SQL: totals as tables, rows as views, and the questions people ask as the `.sql` files in `sql/`.

`catalog.duckdb` is a cache of that for any DuckDB shell: absolute paths, no extension, rebuilt when behind or moved.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from corpora import schema
from corpora.config import digest
from corpora.errors import LakeError
from corpora.lake import DUPLICATES, TOKENIZER, Lake
from corpora.state import states
from planner import mix

SQL = Path(__file__).parent / "sql"
VIEWS = ("ledger", "documents", "supply", "composition", "drops")  # in order: later ones build on earlier ones
STORAGE = "v1.0.0"  # DuckDB storage version that every released shell since 1.0 opens

PARTS = {"documents": schema.DOCUMENTS, "signals": schema.SIGNALS, "ledger": schema.LEDGER, "tokens": schema.TOKENS}


def connect(lake: Lake, profiles: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    """DuckDB with all views of the lake: on `catalog.duckdb`, read-only, or in memory where that cannot be written.

    `profiles`: fingerprint of each corpus's profile as it is now, to tell which corpora are stale. It shows the lake at
    one moment; who has it open sees nothing of what is put in force later.
    """
    lake = lake.at_once()
    if lake.local:
        with contextlib.suppress(OSError, LakeError, duckdb.Error):
            connection = duckdb.connect(str(refresh(lake, profiles)), read_only=True)
            if _stamp_in(connection) == _stamp(lake, profiles):  # or another process has made it of another moment
                return connection
            connection.close()
    connection = duckdb.connect()
    if not lake.local:
        connection.register_filesystem(lake.fs)
    try:
        _fill(connection, lake, profiles)
    except duckdb.Error as error:
        raise LakeError(
            f"a part cannot be read: {str(error).splitlines()[0]}; `assay reconcile {lake.option}` names all such"
        ) from None
    return connection


def overview(lake: Lake, profiles: Mapping[str, str]) -> dict[str, Any]:
    """What the lake holds, from manifests alone: per corpus documents of each outcome, tokens, and what is stale."""
    lake, corpora = lake.at_once(), []
    command = f"assay tokenize --all {lake.option}"
    for state in states(lake, profiles):
        room = lake.room(state.corpus)
        rows = (room.manifest("ledger") or {"totals": []})["totals"]
        documents = {
            outcome: sum(r["documents"] for r in rows if r["outcome"] == outcome) for outcome in schema.OUTCOMES
        }
        corpora.append(
            {"corpus": state.corpus, "documents": room.manifest("ingest")["totals"]["records"]}
            | documents
            | {"tokens": sum(r["tokens"] for r in rows if r["outcome"] == "kept")}
            | {"state": "; ".join(state.stale) or "current", "command": command if state.stale else None}
        )
    tokenizer = lake.room(TOKENIZER).manifest("tokenizer")
    return {"lake": lake.url, "sample": lake.sample, "tokenizer": tokenizer, "corpora": corpora}


def refresh(lake: Lake, profiles: Mapping[str, str]) -> Path:
    """The path of a local lake's `catalog.duckdb`, built anew if it is behind the lake or was moved with it.

    It is written aside and replaced, so that a shell that has it open keeps what it opened.
    """
    lake = lake.at_once()
    path = Path(lake.root, "catalog.duckdb")
    if _stamp_of(path) == _stamp(lake, profiles):
        return path
    with Path(lake.root, ".catalog.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        aside = Path(lake.root, ".catalog.duckdb.new")
        _remove(aside)  # and what was logged of it: DuckDB would bring that into the new one
        try:
            with duckdb.connect() as connection:
                connection.execute(f"ATTACH {_literal(str(aside))} AS catalog (STORAGE_VERSION '{STORAGE}')")
                connection.execute("USE catalog")
                _fill(connection, lake, profiles)
                connection.execute("USE memory; DETACH catalog")
            aside.replace(path)
        except duckdb.Error as error:
            raise LakeError(f"{path} cannot be written: {str(error).splitlines()[0]}") from None
        finally:
            with contextlib.suppress(OSError):
                _remove(aside)
    return path


def _remove(database: Path) -> None:
    for path in (database, Path(f"{database}.wal")):
        path.unlink(missing_ok=True)


def _stamp(lake: Lake, profiles: Mapping[str, str]) -> str:
    """What a catalog is made from: where the lake lies, what is in force in it, and the profiles."""
    rooms = [*lake.corpora(), DUPLICATES, TOKENIZER]
    in_force = {name: lake.room(name).current() for name in rooms}
    sql = [(SQL / f"{name}.sql").read_text("utf-8") for name in (*VIEWS, "mix")]
    return digest([lake.url, in_force, dict(profiles), sql, mix.all_mixes(), duckdb.__version__])


def _stamp_of(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            return _stamp_in(connection)
    except duckdb.Error:
        return None


def _stamp_in(connection: duckdb.DuckDBPyConnection) -> str:
    return connection.execute("SELECT stamp FROM assay_catalog").fetchone()[0]


def _fill(connection: duckdb.DuckDBPyConnection, lake: Lake, profiles: Mapping[str, str]) -> None:
    """Make the tables and views of a lake in an empty database."""
    _table(connection, "assay_catalog", pa.table({"stamp": [_stamp(lake, profiles)], "lake": [lake.url]}))
    _table(connection, "sources", pa.Table.from_pylist(list(_sources(lake, profiles)), SOURCES))
    _table(connection, "totals", pa.Table.from_pylist(list(_totals(lake)), TOTALS))
    _table(connection, "skipped", pa.Table.from_pylist(list(_skipped(lake)), SKIPPED))
    for kind, columns in PARTS.items():
        if paths := list(paths_of(lake, kind)):
            connection.execute(f"CREATE VIEW {kind}_parts AS SELECT * FROM {parquet(lake, paths)}")
        else:
            _table(connection, f"{kind}_parts", columns.empty_table())
    for view in VIEWS:
        connection.execute(f"CREATE VIEW {view} AS {(SQL / f'{view}.sql').read_text('utf-8')}")
    mix.create(connection, mix.all_mixes())


SOURCES = pa.schema(
    [("corpus", pa.string()), ("group", pa.string()), ("description", pa.string()), ("license", pa.string())]
    + [("priority", pa.int64()), ("state", pa.string()), ("sample", pa.bool_()), ("tokenizer", pa.string())]
    + [("provisional", pa.bool_()), ("profile", pa.string()), ("manifest", pa.string())]
)
TOTALS = pa.schema(
    [("corpus", pa.string()), ("outcome", pa.string()), ("reason", pa.string())]
    + [(name, pa.int64()) for name in ("documents", "raw_bytes", "bytes", "chars", "tokens")]
)
SKIPPED = pa.schema([("corpus", pa.string()), ("reason", pa.string()), ("pieces", pa.int64()), ("bytes", pa.int64())])


def _sources(lake: Lake, profiles: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    tokenizer = lake.room(TOKENIZER).manifest("tokenizer") or {}
    for state in states(lake, profiles):
        room = lake.room(state.corpus)
        ingest, (manifest, ledger) = room.manifest("ingest"), room.in_force("ledger")
        counted_by = ledger and ledger["tokenizer"]
        yield {name: ingest[name] for name in ("corpus", "group", "description", "license", "priority", "sample")} | {
            "state": f"stale: {'; '.join(state.stale)}" if state.stale else "current",
            "tokenizer": counted_by,
            "provisional": bool(counted_by == tokenizer.get("fingerprint") and tokenizer.get("provisional")),
            "profile": ledger and ledger["profile"]["name"],
            "manifest": manifest,
        }


def _totals(lake: Lake) -> Iterator[dict[str, Any]]:
    for name in lake.corpora():
        for row in (lake.room(name).manifest("ledger") or {"totals": []})["totals"]:
            yield {"corpus": name} | row


def _skipped(lake: Lake) -> Iterator[dict[str, Any]]:
    for name in lake.corpora():
        totals = lake.room(name).manifest("ingest")["totals"]
        for reason, pieces in totals["skipped"].items():
            yield {"corpus": name, "reason": reason, "pieces": pieces, "bytes": totals["skipped_bytes"][reason]}


def paths_of(lake: Lake, kind: str) -> Iterator[str]:
    """Where the parts of a kind lie that the manifests in force list: no glob, so nothing is ever counted twice."""
    for name in lake.corpora():
        room = lake.room(name)
        if kind in ("ledger", "tokens"):
            listed = (room.manifest("ledger") or {"parts": []})["parts"]
        else:
            listed = [part for task in room.manifest("ingest")["tasks"] for part in task["parts"]]
        yield from (room.path(kind, part[kind]["sha256"]) for part in listed if part[kind])


def parquet(lake: Lake, paths: Sequence[str]) -> str:
    """Parquet files of a lake as a table of DuckDB."""
    urls = [path if lake.local else lake.fs.unstrip_protocol(path) for path in paths]
    named = [re.sub(r"[*?[]", r"[\g<0>]", url) for url in urls]  # DuckDB would take a name for a pattern
    return f"read_parquet([{', '.join(map(_literal, named))}])"


def _table(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    connection.register("assay_rows", rows)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM assay_rows")
    connection.unregister("assay_rows")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
