"""Raw files and the lake in a bucket, over the protocol of S3: the lake of a disk, whatever is killed."""

from __future__ import annotations

import os
import pickle
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from corpora import spool
from corpora.errors import ConfigError
from corpora.lake import DUPLICATES, Lake
from corpora.readers.source import Source
from pipelines import chain, parts
from pipelines.raw import cut, find

LOCAL = ("catalog.duckdb", ".catalog.lock")  # a cache that lakes on disks have


@pytest.fixture
def in_bucket(bucket: str, project):
    project.bucket = bucket
    return project


def write(project) -> None:
    """Two corpora that share documents, several tasks each, put into the bucket if there is one."""
    for corpus, first, n in (("news", 0, 4), ("c4", 2, 3)):
        for i in range(first, first + n):
            project.write(corpus, f"{i}.jsonl.gz", [project.prose(20 * i + j) for j in range(30)])
    if project.bucket:
        project.upload()


def build(project, **options) -> None:
    for corpus in ("c4", "news"):
        project.ingest(corpus, part_bytes=1, **options)
    project.tokenize(**options)


def contents(project) -> dict[str, bytes]:
    return {name: data for name, data in project.published().items() if name not in LOCAL}


@pytest.fixture(scope="module")
def expected(project_in: Callable, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The lake of a disk."""
    write(disk := project_in(tmp_path_factory.mktemp("disk")))
    build(disk)
    return contents(disk)


def uploads(fs, bucket: str) -> list[str]:
    """Keys of the uploads in pieces that are open."""
    return [upload["Key"] for upload in fs.list_multipart_uploads(bucket.removeprefix("s3://"))]


def leases(lake: Lake) -> list[str]:
    """What the objects of leases hold: one for each room that was ever written."""
    return [lake.fs.cat_file(path).decode() for path in lake.fs.find(lake.root) if "/lock/" in path]


def test_the_same_lake_as_on_a_disk(in_bucket, expected: dict[str, bytes]) -> None:
    write(in_bucket)
    build(in_bucket, workers=2)
    assert contents(in_bucket) == expected
    assert sum(name.endswith(".parquet") for name in expected) > 40
    in_bucket.said.clear()
    build(in_bucket)
    assert {sentence.rpartition(": ")[2] for sentence in in_bucket.said} == {"up to date."}
    assert contents(in_bucket) == expected


KILL_AT = {  # what is there of a stage that has been under way for a while
    "ingest": r"news/receipts/ingest/",
    "keys": r"duplicates/receipts/keys/",
    "ledger": r"news/ledger/part-",
}


def test_killed_half_way_and_gone_on_with(in_bucket, expected: dict[str, bytes], serve_runs: Callable) -> None:
    write(in_bucket)
    lake = in_bucket.lake
    with serve_runs() as runs:
        for stage, wanted in KILL_AT.items():
            pid = runs.start(in_bucket, "threads")
            while not any(re.match(wanted, path.removeprefix(f"{lake.root}/")) for path in lake.fs.find(lake.root)):
                time.sleep(0.01)
            os.killpg(pid, signal.SIGKILL)
            assert runs.end() == -signal.SIGKILL, f"it had ended before it was killed in {stage}"
        assert len(list(Path(tempfile.gettempdir()).iterdir())) == 1, "what the last one killed has left"
        runs.start(in_bucket, "threads")
        assert runs.end() == 0
    assert contents(in_bucket) == expected
    assert len(leases(lake)) == 4
    assert all('"beat": null' in note for note in leases(lake))
    assert uploads(lake.fs, in_bucket.bucket) == []


def test_uploads_that_killed_writers_left_open_are_ended(bucket: str) -> None:
    room = Lake(f"{bucket}/lake").room("news")
    fs, name = room.fs, bucket.removeprefix("s3://")
    others = ["lake/newsletter/documents/part-1", "lake/web/documents/part-1"]
    for key in ("lake/news/documents/part-1", *others):
        fs.call_s3("create_multipart_upload", Bucket=name, Key=key)
    with room.lock("ingest"):
        assert sorted(uploads(fs, bucket)) == others


def test_a_part_whose_upload_breaks_off_is_not_there(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Lake(f"{bucket}/lake").room("news")
    real, fs = room.fs._call_s3, room.fs

    async def failing(method: str, *arguments: object, **options: object) -> object:
        if method == "upload_part" and options["PartNumber"] == 2:
            raise OSError("broken off")
        return await real(method, *arguments, **options)

    with room.lock("ingest"):
        file = room.spool / "part"
        file.touch()
        os.truncate(file, 101 << 20)  # s3fs puts files from 100 MiB on in pieces
        with monkeypatch.context() as patch:
            patch.setattr(fs, "_call_s3", failing)
            with pytest.raises(OSError, match="broken off"):
                room.put(file, "documents/part-1")
        assert not fs.exists(f"{room.root}/documents")
    assert uploads(fs, bucket) == []


# Workers on other machines


@pytest.fixture
def elsewhere(bucket: str, tmp_path: Path):
    """A room as a worker gets it whose machine has no folder of the driver's, and where it would report to."""
    with Lake(f"{bucket}/lake").room("news").lock("ingest") as room:
        sent = pickle.loads(pickle.dumps(room))
        sent._spool = tmp_path / "none" / room.spool.name
        yield sent, sent._spool / "run-ingest"


def test_a_worker_elsewhere_does_its_task_and_leaves_nothing(elsewhere) -> None:
    room, folder = elsewhere
    with spool.folder(f"{room.lake.url}/news") as dead:
        name = dead
    (name / "half").mkdir(parents=True)  # of a worker there that was killed

    def work(task: parts.Task, room, watch: parts.Watch) -> dict:
        watch.advance(1)
        (room.spool / "half").write_text("a part")
        return {"parts": []}

    task = parts.Task("a.jsonl", ["a.jsonl"], "config", 1)
    assert parts._Do("ingest", work, room, folder)(task) == task.key
    assert room.receipt("ingest", task.key)["parts"] == []
    assert not folder.exists()
    assert not name.exists()


def test_why_a_task_failed_elsewhere_reaches_the_driver(elsewhere) -> None:
    room, folder = elsewhere

    def work(task: parts.Task, room, watch: parts.Watch) -> dict:
        raise ValueError("no such thing")

    task = parts.Task("a.jsonl", ["a.jsonl"], "config", 1)
    parts._Do("ingest", work, room, folder)(task)
    [(key, why)] = room.take_failed()
    assert (key, why.splitlines()[0]) == (task.key, "ValueError: no such thing")
    assert room.take_failed() == []


# The commands


def test_the_commands(
    in_bucket, command: Callable, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    write(in_bucket)
    lake, raw = in_bucket.lake, f"{in_bucket.bucket}/data/raw/news"
    said = command("tokenize", "news", "--raw", f"{raw}/*.gz", "--lake", lake.url, "--tokenizer", in_bucket.tokenizer)
    assert (said.returncode, "news" in said.stdout) == (0, True), said.stderr
    for verb in ("status", "reconcile", "compact", "mix proportional", "plan --gpu h100 --gpu-hours 1", "gc --yes"):
        said = command(*verb.split(), "--lake", lake.url)
        assert said.returncode == 0, (verb, said.stderr)
    said = command("sql", "SELECT count(*) AS n FROM documents", "--lake", lake.url, "--json")
    assert (said.returncode, '"n": 120' in said.stdout) == (0, True), said.stderr
    said = command("launch", "plans/proportional/plan.json", "--end-of-document", "t")
    assert said.returncode == 0, said.stderr
    said = command("tokenize", "--all", "--lake", lake.url)  # from where its raw files were found last
    assert said.stderr.count("up to date.") == 3, said.stderr
    with lake.room(DUPLICATES).lock("deduplicate"):
        said = command("gc", "--yes", "--lake", lake.url)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith(f"assay: duplicates is being written by deduplicate, process {os.getpid()} on ")


def test_a_store_that_cannot_be_had_is_one_sentence(
    bucket: str, command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def says(*arguments: str) -> str:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        said = command(*arguments)
        assert (said.returncode != 0, said.stdout, said.stderr.count("\n")) == (True, "", 1), said.stderr
        return said.stderr

    raw = f"{bucket}/no/*.jsonl"
    assert says("ingest", "news", "--raw", raw) == f"assay: --raw {raw} matches no file\n"
    assert f"there is nothing in {bucket}/lake yet" in says("status", "--lake", f"{bucket}/lake")
    missing = "assay: s3://none/l: the bucket none does not exist\n"
    assert says("status", "--lake", "s3://none/l") == missing
    assert says("tokenize", "news", "--sample", "--lake", "s3://none/l") == missing
    assert says("ingest", "news", "--raw", "s3://none/l") == missing
    assert says("status", "--lake", "s3://") == "assay: s3:// names no bucket\n"
    for package, url, extra in (("gcsfs", "gs://b/lake", "gs"), ("adlfs", "abfs://b/lake", "abfs")):
        monkeypatch.setitem(sys.modules, package, None)
        wanted = f"assay: {url} needs a package more: pip install 'corpus-assay[{extra}]'\n"
        assert says("status", "--lake", url) == wanted
    for url in ("nix://b/lake", "https://b/lake", "hdfs://b/lake"):
        wanted = f"assay: {url} is no store that can be used: name a folder, s3://, gs:// or abfs://\n"
        assert says("status", "--lake", url) == wanted
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert says("status", "--lake", f"{bucket}/lake") == "assay: Invalid endpoint: nonsense\n"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "Could not connect to the endpoint" in says("status", "--lake", f"{bucket}/lake")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    wanted = "Unable to locate credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    assert says("status", "--lake", f"{bucket}/lake") == f"assay: S3: {wanted}\n"


# Raw files


def test_raw_files_in_a_bucket(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for name in (
        "news/a.jsonl",
        "news/2024/b.jsonl",
        "news/.hidden",
        "news/2024/",
        "web/c.jsonl",
        "newsletter/d.jsonl",
    ):
        fs.pipe_file(f"{bucket}/{name}", b"" if name.endswith("/") else b"{}")
    for pattern, expected in (
        ("**", ["2024/b.jsonl", "a.jsonl"]),
        ("*.jsonl", ["a.jsonl"]),
        ("2024", ["2024/b.jsonl"]),
        ("a.jsonl", ["a.jsonl"]),
        ("../web/*", ["../web/c.jsonl"]),
        ("no*", []),
    ):
        assert [file.path for file in find(f"{bucket}/news", pattern)] == expected, pattern
    before = find(f"{bucket}/news", "a.jsonl")
    assert before[0].url == f"{bucket}/news/a.jsonl"
    fs.pipe_file(f"{bucket}/news/a.jsonl", b"[]")
    assert find(f"{bucket}/news", "a.jsonl")[0].version != before[0].version


def test_a_name_may_hold_any_character(bucket: str, tmp_path: Path) -> None:
    fs, text = fsspec.filesystem("s3"), b'{"id": "a", "text": "b"}\n'
    for name in ("a::b", "s3::c", "[d]", "e*", "f#g", "h?i", "j%20k", "l m"):
        fs.pipe_file(f"{bucket}/{name}/{name}.jsonl", text)
        (tmp_path / "raw" / name).mkdir(parents=True)
        (tmp_path / "raw" / name / f"{name}.jsonl").write_bytes(text)
        for root in (bucket, str(tmp_path / "raw")):
            wanted = chain.catalog.load("news")
            for pattern in (f"{root}/{name}/{name}.jsonl", f"{root}/{name}"):
                [entry] = chain.raw_of(wanted, [pattern], None).inputs
                [file] = entry.files
                assert (file.path, Source(file.path, file.url).read(99)) == (f"{name}.jsonl", text)
                assert len(list(cut([file], entry.input, 10))) == 3


def test_several_patterns_of_one_bucket_and_of_two(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for name in ("x/1/a.jsonl", "x/2/b.jsonl"):
        fs.pipe_file(f"{bucket}/{name}", b"{}")
    wanted = chain.catalog.load("news")
    found = chain.raw_of(wanted, [f"{bucket}/x/1/*", f"{bucket}/x/2"], None)
    assert [(entry.root, file.path) for entry in found.inputs for file in entry.files] == [
        (f"{bucket}/x", "1/a.jsonl"),
        (f"{bucket}/x", "2/b.jsonl"),
    ]
    with pytest.raises(ConfigError, match="different stores"):
        chain.raw_of(wanted, [f"{bucket}/x", "data"], None)
    with pytest.raises(ConfigError, match="different buckets"):
        chain.raw_of(wanted, [f"{bucket}/x", "s3://another/x"], None)


def test_a_lake_in_a_raw_folder_of_the_same_bucket_is_refused(bucket: str) -> None:
    fsspec.filesystem("s3").pipe_file(f"{bucket}/raw/a.jsonl", b"{}")
    wanted = chain.catalog.load("news")
    raw = chain.raw_of(wanted, [f"{bucket}/raw"], None)
    with pytest.raises(ConfigError, match="lies in the raw folder"):
        chain.run_ingest(Lake(f"{bucket}/raw/x/../lake"), wanted, raw, None)
