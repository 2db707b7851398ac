"""The lake: what is in force, one writer, whole or not at all; on disks and in buckets (fsspec's `memory://`)."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pytest

from corpora.config import digest
from corpora.errors import ConfigError, LakeError
from corpora.lake import DUPLICATES, TOKENIZER, Lake
from corpora.room import Room

ROWS = pa.RecordBatch.from_pydict({"x": [1, 2, 3]})


@pytest.fixture(params=["disk", "memory"])
def lake(request, tmp_path) -> Lake:
    return Lake(tmp_path / "lake" if request.param == "disk" else f"memory://{uuid.uuid4().hex}/lake")


def put(room: Room, batch: pa.RecordBatch = ROWS):
    writer = room.writer("documents", batch.schema)
    writer.write(batch)
    return room.keep("documents", writer)


def files(room: Room) -> list[str]:
    found = room.fs.find(room.root)
    names = [path.removeprefix(f"{room.root}/") for path in found]
    return sorted(name for name in names if name != ".lock" and not name.startswith("lock/"))


def test_nothing_is_in_force_in_a_lake_that_is_not_there(lake):
    room = lake.room("web")
    assert (lake.corpora(), lake.sample) == ([], None)
    assert (room.current(), room.manifest("ingest"), room.sizes("documents")) == ({}, None, {})
    assert room.receipt("ingest", "key") is None
    assert not lake.fs.exists(lake.root)


def test_what_is_published_is_in_force(lake):
    room = lake.room("web")
    with room.lock("ingest"):
        room.publish(ingest={"sample": True, "n": 1}, ledger={"n": 2})
        room.publish(ledger={"n": 3})
    assert room.manifest("ingest") == {"sample": True, "n": 1}
    assert room.manifest("ledger") == {"n": 3}
    assert room.manifest("tokens") is None
    assert (lake.corpora(), lake.sample) == (["web"], True)


def test_manifests_are_named_by_their_content(lake):
    room = lake.room("web")
    manifest = {"text": "Ünicode", "parts": [{"rows": 1}], "none": None}
    with room.lock("ingest"):
        room.publish(ingest=manifest)
        name = room.current()["ingest"]
        assert name == f"ingest-{digest(manifest)}.json"
        stored = lake.fs.cat_file(f"{room.root}/manifests/{name}")
        assert digest(json.loads(stored)) in name
        room.publish(ingest={"other": 1})
        room.publish(ingest=dict(reversed(manifest.items())))
    assert room.current()["ingest"] == name
    assert lake.fs.cat_file(f"{room.root}/manifests/{name}") == stored


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_publishing_is_all_or_nothing(lake, monkeypatch, fails_at):
    room = lake.room("web")
    with room.lock("ingest"):
        room.publish(ingest={"n": 1}, ledger={"n": 1})
        real, calls = Room._put, []

        def failing(self, source, target):
            calls.append(target)
            if len(calls) == fails_at:
                raise OSError("disk full")
            real(self, source, target)

        monkeypatch.setattr(Room, "_put", failing)
        with pytest.raises(OSError, match="disk full"):
            room.publish(ingest={"n": 2}, ledger={"n": 2})
        assert (calls[-1] == f"{room.root}/current") == (fails_at == 3)
        monkeypatch.undo()
    assert (room.manifest("ingest"), room.manifest("ledger")) == ({"n": 1}, {"n": 1})


def test_rooms_that_are_no_corpora_are_not_listed(lake):
    for name in ("web", DUPLICATES, TOKENIZER):
        with lake.room(name).lock("x") as room:
            room.publish(ingest={"sample": False})
    with lake.room("unfinished").lock("x") as room:
        put(room)
    assert lake.corpora() == ["web"]


def test_parts_are_put_whole_under_the_name_of_their_bytes(lake):
    room = lake.room("web")
    with room.lock("ingest"):
        writer = room.writer("documents", ROWS.schema)
        writer.write(ROWS)
        assert all(name.startswith(".tmp/") for name in files(room)), "unfinished files lie aside"
        part = room.keep("documents", writer)
        assert put(room) == part, "the same rows are the same part"
        aborted = room.writer("documents", ROWS.schema)
        aborted.abort()
        assert list(room.spool.iterdir()) == []
    assert files(room) == [f"documents/part-{part.sha256}.parquet"]
    assert room.sizes("documents") == {part.sha256: part.bytes}
    assert [batch.to_pydict() for batch in room.read("documents", part.sha256)] == [{"x": [1, 2, 3]}]
    with room.open("documents", part.sha256) as file:
        assert len(file.read()) == part.bytes


def test_a_part_that_is_gone_is_named(lake):
    with pytest.raises(LakeError, match=r"part-abc\.parquet is gone; run `assay reconcile`"):
        lake.room("web").open("documents", "abc")


def test_a_manifest_that_is_gone_and_one_that_is_damaged_are_named(lake):
    room = lake.room("web")
    with room.lock("ingest"):
        room.publish(ingest={"n": 1})
    path = f"{room.root}/manifests/{room.current()['ingest']}"
    lake.fs.pipe_file(path, b"{")
    with pytest.raises(LakeError, match="is damaged: it holds no JSON"):
        room.manifest("ingest")
    lake.fs.rm_file(path)
    with pytest.raises(LakeError, match="which is not there"):
        room.manifest("ingest")


def test_receipts(lake):
    room = lake.room("web")
    with room.lock("ingest"):
        room.write_receipt("ingest", "key", {"parts": []})
        assert room.receipt("ingest", "key") == {"parts": []}
        assert room.receipt("tokens", "key") is None
        room.drop_receipt("ingest", "key")
    assert room.receipt("ingest", "key") is None


def test_a_file_is_put_and_gone_here(lake):
    room = lake.room("web")
    with room.lock("ingest"):
        source = room.spool / "note"
        source.write_text("text")
        room.put(source, "run.txt")
        assert not source.exists()
    assert lake.fs.cat_file(f"{room.root}/run.txt") == b"text"


def test_nothing_is_written_without_the_lock(lake):
    with pytest.raises(LakeError, match="without holding its lock"):
        lake.room("web").publish(ingest={})
    with lake.room("web").lock("ingest") as room:
        pass
    with pytest.raises(LakeError, match="without holding its lock"):
        room.writer("documents", ROWS.schema)


def test_a_second_writer_is_told_who_holds_the_lock(lake):
    with lake.room("web").lock("ingest"):
        with pytest.raises(LakeError, match=rf"web is being written by ingest, process {os.getpid()} on "):
            lake.room("web").lock("tokenize").__enter__()
        with lake.room("news").lock("ingest"):
            pass
    with lake.room("web").lock("tokenize"):
        pass


def test_the_lock_is_given_back_after_a_failure(lake):
    with pytest.raises(RuntimeError), lake.room("web").lock("ingest"):
        raise RuntimeError
    with lake.room("web").lock("tokenize") as room:
        assert list(room.spool.iterdir()) == []


HOLD = """
import sys, time
from corpora.lake import Lake
with Lake(sys.argv[1]).room("web").lock("ingest") as room:
    (room.spool / "half").write_text("a part")
    room.publish(ingest={"n": 1})
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the room `web`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lake")]
    repository = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": repository}
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.kill()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path, holder):
    room = Lake(tmp_path / "lake").room("web")
    with pytest.raises(LakeError, match=rf"ingest, process {holder.pid} on .*; wait for it to end"):
        room.lock("tokenize").__enter__()
    assert list(Path(room.root).glob(".tmp/*/half")), "the refused one has swept what the other was writing"
    holder.communicate()
    with room.lock("tokenize"):
        pass


def test_the_lock_dies_with_a_killed_process_and_its_leftovers_are_swept(tmp_path, holder):
    room = Lake(tmp_path / "lake").room("web")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert list(Path(room.root).glob(".tmp/*/half"))
    with room.lock("ingest"):
        assert list(room.spool.iterdir()) == []
    assert not (Path(room.root) / ".tmp").exists()
    assert room.manifest("ingest") == {"n": 1}


def test_lakes_and_rooms_travel_to_workers(lake):
    room = lake.room("web")
    with room.lock("ingest"):
        sent = pickle.loads(pickle.dumps(room))
        assert sent.spool == room.spool
        part = put(sent)
        room.publish(ingest={"sample": False})
    assert pickle.loads(pickle.dumps(lake)).corpora() == ["web"]
    assert room.sizes("documents") == {part.sha256: part.bytes}
    idle = pickle.loads(pickle.dumps(room))
    assert (idle.name, idle.root, idle.manifest("ingest")) == ("web", room.root, {"sample": False})
    with pytest.raises(LakeError, match="without holding"):
        _ = idle.spool


def test_a_relative_path_is_settled_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Lake("lake")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(found)).root == str(tmp_path / "lake")


@pytest.mark.parametrize("character", "?\\")
def test_a_path_that_duckdb_cannot_write_to_is_refused(tmp_path, character):
    with pytest.raises(ConfigError, match=r"no lake can lie at .* DuckDB cannot write where"):
        Lake(tmp_path / f"a{character}b" / "lake")


def test_a_printed_command_names_the_lake_as_a_shell_takes_it(tmp_path):
    lake = Lake(tmp_path / "a b&c#d")
    assert shlex.split(lake.option) == ["--lake", lake.root]
    assert f"--all {lake.option}`" in lake.remedy("web/current")
