"""Readers see the lake at one moment, whatever is put in force while they read; what they miss is one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from corpora import garbage
from corpora.errors import LakeError
from corpora.lake import Lake
from corpora.room import Room
from pipelines.quality import profile
from planner import ledger
from planner.reconcile import reconcile

CORPORA = ("c4", "news")


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory, project_in: Callable) -> tuple[Path, list[dict[str, bytes]]]:
    """A lake that took in a day of news, and what every `current` in it was, commit after commit."""
    project, found, write = project_in(tmp_path_factory.mktemp("moments")), [], Room.publish

    def seen() -> dict[str, bytes]:
        root = project.folder / "lake"
        return {path.parent.name: path.read_bytes() for path in root.glob("*/current")}

    def publish(self: Room, **manifests: Any) -> None:
        write(self, **manifests)
        found.append(seen())

    project.write("news", "a.jsonl", [project.prose(i) for i in (0, 1, 2, 0)])
    project.write("c4", "a.jsonl", [project.prose(i) for i in range(2, 6)])
    for corpus in CORPORA:
        project.ingest(corpus)
    project.tokenize()
    found.append(seen())
    project.write("news", "b.jsonl", [project.prose(i) for i in range(4, 9)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Room, "publish", publish)
        project.ingest("news")
        project.tokenize()
    assert len(found) == 5  # documents, findings, and the ledgers of both
    return project.folder / "lake", found


@pytest.fixture
def lake(moments: tuple[Path, list[dict[str, bytes]]], tmp_path: Path) -> Path:
    return shutil.copytree(moments[0], tmp_path / "lake")


def put_in_force(lake: Path, current: dict[str, bytes]) -> None:
    for room, names in current.items():
        (lake / room / "current.new").write_bytes(names)
        (lake / room / "current.new").replace(lake / room / "current")


def profiles() -> dict[str, str]:
    return {name: profile.of_corpus(name).fingerprint for name in CORPORA}


def of_sql(lake: Lake) -> list[Any]:
    queries = ("FROM supply", "FROM composition", "FROM sources", "FROM totals", "SELECT count(*) FROM ledger")
    with ledger.connect(lake, profiles()) as connection:
        return [connection.execute(f"{query} ORDER BY ALL").fetchall() for query in queries]


READERS: dict[str, Callable[[Lake], Any]] = {
    "status": lambda lake: ledger.overview(lake, profiles()),
    "sql": of_sql,
    "reconcile": lambda lake: list(reconcile(lake)),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_see_one_moment(
    moments: tuple[Path, list[dict[str, bytes]]], lake: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    """A writer commits before the n-th file that a reader reads, and again before each that follows, for every n."""
    read, look, static = Lake.read_json, READERS[reader], []
    for moment in moments[1]:
        put_in_force(lake, moment)
        static.append(look(Lake(lake)))
    assert static[0] != static[-1]
    n, met = 1, True
    while met:
        put_in_force(lake, moments[1][0])
        (lake / "catalog.duckdb").unlink(missing_ok=True)
        seen: list[str] = []

        def reading(self: Lake, path: str, seen: list[str] = seen, n: int = n) -> Any:
            seen.append(path)
            if n <= len(seen) < n + len(moments[1]) - 1:
                put_in_force(lake, moments[1][len(seen) - n + 1])
            return read(self, path)

        with monkeypatch.context() as patch:
            patch.setattr(Lake, "read_json", reading)
            assert look(Lake(lake)) in static, f"commits from file {n} on, {seen}"
        met = len(seen) >= n
        n += 1
    assert n > 9


def test_a_lake_that_never_rests_is_refused(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, n = Lake.read_json, iter(range(10_000))
    monkeypatch.setattr(Lake, "read_json", lambda self, path: (read(self, path) or {}) | {"n": next(n)})
    with pytest.raises(LakeError, match="changes faster than it can be read: run the same command again"):
        Lake(lake).at_once()


def test_what_gc_deletes_under_a_reader_is_one_sentence(
    moments: tuple[Path, list[dict[str, bytes]]], lake: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(lake, moments[1][0])
    before = Lake(lake).at_once()

    lines = ["FROM totals;", "FROM ledger;", "SELECT 42 AS answer;"]

    def typed(_: str) -> str:
        if len(lines) == 2:
            put_in_force(lake, moments[1][-1])
            garbage.delete_from(Lake(lake), lambda found: None)
        if not lines:
            raise EOFError
        return lines.pop(0)

    monkeypatch.setattr("builtins.input", typed)
    done = command("sql", "--lake", lake)
    assert done.returncode == 0
    assert "42" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "the lake was changed and swept since it was opened" in done.stderr
    with pytest.raises(LakeError, match="news was changed and swept while it was read: run the same command again"):
        before.room("news").manifest("ledger")


def test_a_part_that_is_gone_is_one_sentence(lake: Path, command: Callable) -> None:
    (lake / "catalog.duckdb").unlink(missing_ok=True)
    for part in (lake / "news/ledger").iterdir():
        part.unlink()
    for verb in (["sql", "FROM ledger"], ["mix", "proportional"], ["plan", "--gpu", "h100", "--gpu-hours", "1"]):
        done = command(*verb, "--lake", lake)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "a part cannot be read" in done.stderr and "assay reconcile" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_catalog_that_was_killed_half_way_leaves_nothing(lake: Path, fails: bool) -> None:
    aside = lake / ".catalog.duckdb.new"
    aside.write_bytes(b"half a database")
    aside.with_name(f"{aside.name}.wal").write_bytes(b"half a log")
    ledger.refresh(Lake(lake), profiles())
    if fails:  # this one too, before it is finished
        (lake / "catalog.duckdb").unlink()
        for part in (lake / "news/ledger").iterdir():
            part.unlink()
        with pytest.raises(LakeError):
            ledger.refresh(Lake(lake), profiles())
    assert [path.name for path in lake.glob(".catalog*")] == [".catalog.lock"]
    if not fails:
        with duckdb.connect(str(lake / "catalog.duckdb"), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM ledger").fetchone()[0] > 0
