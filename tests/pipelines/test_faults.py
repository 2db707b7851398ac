"""Whatever a run does to a lake's files may fail: what is in force stays whole, and the next run ends as if it had not.

A hook counts what is done to files below a folder and lets the n-th of it fail; for what goes around Python's own
files (pyarrow, DuckDB, fsync) there are wrappers that count. A test does this for every n, or for a sample of them
that has every stage and every kind of operation.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from corpora.lake import Lake
from corpora.state import states
from pipelines.quality import profile
from planner.reconcile import reconcile

ALL = os.environ.get("ASSAY_TEST_FAULTS") == "all"  # every operation, in place of a sample of each kind
AUDITED = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FULL = 64  # bytes of a file that a full disk still takes


class Faults:
    """What is done to files below a folder, counted; the n-th fails, or all written from then on is cut short."""

    def __init__(self) -> None:
        self.below: str | None = None
        self.refuses = 0  # number of the error with which every operation fails
        sys.addaudithook(self._heard)  # which stays as long as the process

    def watch(self, below: Path, at: int = 0, full: bool = False) -> None:
        """Count anew; `at`: the operation that fails, from 1. `full`: it goes on, and from then on the disk is full."""
        self.at, self.full, self.seen, self.failed = at, full, [], None
        self.below = f"{below}/"

    def refuse(self, below: Path, number: int) -> None:
        """Let every operation fail with the error of that number."""
        self.watch(below)
        self.refuses = number

    def rest(self) -> None:
        """Let everything succeed again."""
        self.below, self.refuses = None, 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def done(self, operation: str, path: str, error: type[Exception] = OSError) -> None:
        """Count an operation on a file, and let it fail if it is the one."""
        if not self.below or not path.startswith(self.below):
            return
        name = re.sub(r"[0-9a-f]{32,}", "#", path.removeprefix(self.below))
        self.seen.append(f"{operation} {re.sub('[0-9]+-#', '#', name)}")
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses), path)
        if len(self.seen) != self.at:
            return
        self.failed = self.seen[-1]
        if self.full:
            resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
        elif error is OSError:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        else:
            raise error("IO Error: this disk fails")

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.below is None or event not in AUDITED or not isinstance(arguments[0], str | os.PathLike):
            return
        if event == "open" and not (arguments[2] or 0) & WRITES:
            return
        path, folder = os.fspath(arguments[event == "os.rename"]), arguments[-1]  # the name that it gets
        if event in ("os.remove", "os.rmdir") and folder != -1:
            path = f"{Path('/proc/self/fd', str(folder)).readlink()}/{path}"
        self.done("write" if event == "open" else event.removeprefix("os."), path)


@pytest.fixture(scope="session")
def hook() -> Faults:
    return Faults()


@pytest.fixture
def faults(hook: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """The hook, and wrappers of what it does not hear."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    fsync, opened, connect = os.fsync, pa.OSFile, duckdb.connect
    write, close = pq.ParquetWriter.write_table, pq.ParquetWriter.close

    def synced(handle: int) -> None:
        hook.done("fsync", str(Path("/proc/self/fd", str(handle)).readlink()))
        fsync(handle)

    def written(self: pq.ParquetWriter, *arguments: Any, **options: Any) -> None:
        hook.done("write rows", str(self.where))
        write(self, *arguments, **options)

    def closed(self: pq.ParquetWriter) -> None:
        if self.is_open:
            hook.done("close", str(self.where))
        close(self)

    def sink(path: str, mode: str) -> pa.OSFile:
        hook.done("write", path)
        return opened(path, mode)

    class Connection:
        """A connection whose statements about the catalog may fail."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._real, self._writes = connect(*arguments, **options), False

        def execute(self, statement: str, *arguments: Any) -> Any:
            self._writes |= statement.startswith("ATTACH")
            if hook.below and self._writes:
                hook.done(f"duckdb {statement.split()[0]}", f"{hook.below}catalog", duckdb.IOException)
            return self._real.execute(statement, *arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def __enter__(self) -> Connection:
            return self

        def __exit__(self, *error: object) -> None:
            self._real.close()

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", written)
    monkeypatch.setattr(pq.ParquetWriter, "close", closed)
    monkeypatch.setattr(pa, "OSFile", sink)
    monkeypatch.setattr(duckdb, "connect", Connection)
    yield hook
    hook.rest()
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def unsound(lake: Lake) -> list[str]:
    """What is wrong with what is in force; that a corpus is stale is not."""
    now = {name: found.fingerprint for name, found in profile.of_lake(lake).items()}
    stale = any(state.stale for state in states(lake, now))
    checks = [check for check in reconcile(lake) if not check.holds]
    return [c.detail for c in checks if not (stale and c.check in ("ledger", "duplicates"))]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, project_in: Callable) -> Path:
    """A lake of two corpora with a day of new files in one of them, not yet read."""
    project = project_in(tmp_path_factory.mktemp("built"))
    for corpus, numbers in (("news", (0, 1, 2, 0)), ("c4", range(2, 6))):
        project.write(corpus, "a.jsonl", [project.prose(i) for i in numbers])
        project.ingest(corpus)
    project.tokenize()
    project.write("news", "b.jsonl", [project.prose(i) for i in range(4, 9)])
    return project.folder


@pytest.fixture
def grown(built: Path, tmp_path: Path, project_in: Callable, monkeypatch: pytest.MonkeyPatch):
    """A copy of it, in the current folder."""
    monkeypatch.chdir(shutil.copytree(built, tmp_path / "project"))
    return project_in(tmp_path / "project")


def run(project, command: Callable, lake: str = "lake") -> Any:
    return command("tokenize", "--all", "--tokenizer", project.tokenizer, "--workers", "1", "--lake", lake)


def sampled(seen: list[str], most: int) -> list[int]:
    """Of the operations of a run those that fail in turn: all, or `most` of them, every kind that there is first."""
    kinds: dict[str, list[int]] = {}
    for n, what in enumerate(seen, 1):
        kinds.setdefault(what, []).append(n)
    if ALL:
        return list(range(1, len(seen) + 1))
    commits = {numbers[-1] for what, numbers in kinds.items() if what.endswith("/current")}
    first = [numbers[0] for numbers in kinds.values()]
    return sorted({*first[:: -(-len(first) // most)], *commits})


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("full", [False, True], ids=["fails once", "disk full"])
def test_every_operation_fails_in_turn(grown, faults: Faults, command: Callable, full: bool) -> None:
    lake, before = grown.folder / "lake", grown.folder / "before"
    shutil.copytree(lake, before)
    faults.watch(lake)
    assert run(grown, command).returncode == 0
    faults.rest()
    seen, expected, failed = faults.seen, grown.contents(), Counter()
    for n in sampled(seen, 6 if full else 12):
        shutil.rmtree(lake)
        shutil.copytree(before, lake)
        faults.watch(lake, n, full)
        ended = run(grown, command)
        faults.rest()
        at = f"{n} of {len(seen)}: {faults.failed}"
        assert "Traceback" not in ended.stderr, at
        if ended.returncode:
            failed[faults.failed.split()[0]] += 1
            assert ended.stderr.splitlines()[-1].startswith("assay: "), at
            assert ended.stdout == "", at
        assert not unsound(grown.lake), at
        again = run(grown, command)
        assert again.returncode == 0, (at, again.stderr)
        assert grown.contents() == expected, at
        assert not unsound(grown.lake), at
        left = [path for path in lake.rglob("*") if ".tmp" in path.parts or path.name.endswith((".new", ".wal"))]
        assert not left, at
    print(f"{failed.total()} of {len(seen)}: {dict(failed)}")


def test_every_put_fails_in_turn(grown, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a bucket: each request that changes something fails, before it took effect or after."""
    url, fs, seen = f"memory://{grown.folder.parent.name}/lake", MemoryFileSystem(), []
    at, late = 0, False

    def failing(name: str) -> Callable:
        real = getattr(MemoryFileSystem, name)

        def called(self: MemoryFileSystem, *arguments: Any, **options: Any) -> Any:
            target = arguments[-1] if name == "put_file" else arguments[0]
            seen.append(f"{name} {re.sub('[0-9a-f]{32,}', '#', target.partition('/lake/')[2])}")
            if len(seen) != at:
                return real(self, *arguments, **options)
            if late:
                real(self, *arguments, **options)
            raise OSError(errno.EIO, os.strerror(errno.EIO), target)

        return called

    def there() -> dict[str, bytes]:
        return {path: fs.cat_file(path) for path in fs.find(url)}

    def put(files: dict[str, bytes]) -> None:
        fs.rm(url, recursive=True)
        for path, data in files.items():
            fs.pipe_file(path, data)

    def published() -> dict[str, bytes]:
        notes = ("/receipts/", "/lock/", "run.json")
        return {path: data for path, data in there().items() if not any(note in path for note in notes)}

    day = grown.folder / "data/raw/news/b.jsonl"
    day.rename(aside := grown.folder / "b.jsonl")
    assert run(grown, command, url).returncode == 0
    aside.rename(day)
    before = there()
    for name in ("put_file", "pipe_file", "rm_file"):
        monkeypatch.setattr(MemoryFileSystem, name, failing(name))
    assert run(grown, command, url).returncode == 0
    expected, all_seen = published(), list(seen)
    numbers = sampled(all_seen, 6)
    for n, after in product(numbers, (False, True)) if ALL else zip(numbers, cycle((False, True))):
        at = 0
        put(before)
        seen.clear()
        at, late = n, after
        ended = run(grown, command, url)
        what = f"{n} of {len(all_seen)}, {'after' if late else 'before'}: {seen[n - 1]}"
        at = 0
        if ended.returncode:
            assert ended.stderr.splitlines()[-1].startswith("assay: "), what
        assert "Traceback" not in ended.stderr, what
        assert not unsound(Lake(url)), what
        again = run(grown, command, url)
        assert again.returncode == 0, (what, again.stderr)
        assert published() == expected, what
        assert not unsound(Lake(url)), what
    print(f"{len(all_seen)} requests")


WRITING = ("ingest news", "tokenize --all", "tokenize news", "deduplicate", "compact", "gc --yes")
READING = (
    "status",
    "reconcile",
    "gc",
    "mix proportional",
    "plan --gpu h100 --gpu-hours 1 --sequence 16",
    "sql FROM\tledger",
    "sql FROM\tsupply",
)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_a_lake_that_cannot_be_written_is_read(grown, faults: Faults, command: Callable, number: int) -> None:
    lake, behind = grown.folder / "lake", number == errno.EACCES
    if not behind:
        assert command("sql", "FROM supply", "--lake", "lake").returncode == 0
    assert (lake / "catalog.duckdb").exists() is not behind
    before = grown.published()
    faults.refuse(lake, number)
    for verb in READING:
        done = command(*(word.replace("\t", " ") for word in verb.split(" ")), "--lake", "lake")
        assert (verb, done.returncode) == (verb, 0), done.stderr
    for verb in WRITING:
        done = command(*verb.split(), "--lake", "lake")
        if verb == "deduplicate":  # nothing is to be done
            assert done.returncode == 0
            continue
        assert done.returncode == 1, verb
        assert done.stdout == ""
        said = done.stderr.splitlines()[-1]
        assert said.startswith("assay: ")
        assert os.strerror(number) in said or "cannot be compacted" in said
    faults.rest()
    assert grown.published() == before


def test_a_lake_that_is_a_file_or_may_not_be_listed(grown, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    (grown.folder / "file").write_text("no lake")

    listed = os.scandir

    def closed(path: str) -> Any:
        if str(path).startswith(f"{grown.folder}/lake"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", closed)
    for verb in (*WRITING, *READING):
        for where, why in (("file", "file is a file, and a lake is a folder: name another --lake"),
                           ("lake", f"{os.strerror(errno.EACCES)}: {grown.folder}/")):  # fmt: skip
            done = command(*(word.replace("\t", " ") for word in verb.split(" ")), "--lake", where)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), (verb, done.stderr)
            assert why in done.stderr
