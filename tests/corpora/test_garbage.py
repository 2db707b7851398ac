"""What is in force nowhere and pinned by nobody can go, and nothing else."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from corpora.config import digest
from corpora.errors import LakeError
from corpora.garbage import Garbage, delete_from, find
from corpora.lake import DUPLICATES, PINS, TOKENIZER, Lake

OLD, NEW = "0" * 64, "1" * 64  # fingerprints


@pytest.fixture(params=["disk", "memory"])
def lake(request, tmp_path: Path) -> Lake:
    """A corpus that was ingested twice and tokenized with two tokenizers, keys of it, and one that never came in."""
    lake = Lake(tmp_path / "lake" if request.param == "disk" else f"memory://{uuid.uuid4().hex}/lake")
    with lake.room(TOKENIZER).lock("test") as room:
        for fingerprint in (OLD, NEW):
            room.write_json(f"tokenizer-{fingerprint}.json", {})
            room.publish(tokenizer={"stage": "tokenizer", "fingerprint": fingerprint})
    with lake.room("news").lock("test") as room:
        for fingerprint in (OLD, NEW):
            documents, tokens = (part(room, kind, fingerprint) for kind in ("documents", "tokens"))
            task = {"inputs": [fingerprint], "config": "c"}
            room.write_receipt("ingest", digest([[fingerprint], "c"]), {"parts": [{"documents": documents}]})
            room.write_receipt("tokens", fingerprint, {"parts": [{"tokens": tokens}]})
            room.publish(
                ingest={"sample": False, "tasks": [task | {"parts": [{"documents": documents}]}]},
                ledger={"tokenizer": fingerprint, "parts": [{"documents": documents["sha256"], "tokens": tokens}]},
            )
        room.write_receipt("tokens", "2" * 64, {"parts": [{"tokens": None}]})
        room.write_json("run.json", {})
    with lake.room(DUPLICATES).lock("test") as room:
        keys = part(room, "keys", "keys")
        room.write_receipt("keys", "3" * 64, {"parts": [{"keys": keys}]})
        room.publish(duplicates={"parts": []})
    with lake.room("web").lock("test") as room:
        part(room, "documents", "never in force")
    lake.fs.pipe_file(f"{lake.root}/news/documents/notes.txt", b"a person's own")
    return lake


def part(room, kind: str, text: str) -> dict:
    writer = room.writer(kind, pa.schema({"text": pa.string()}))
    writer.write(pa.RecordBatch.from_pydict({"text": [text]}))
    return asdict(room.keep(kind, writer))


def pin(lake: Lake, **changed: object) -> None:
    """What a launch of the old state pins."""
    room = lake.room("news")
    name = next(
        path.rpartition("/")[2]
        for path in lake.fs.glob(f"{room.root}/manifests/ledger-*")
        if path.rpartition("/")[2] != room.current()["ledger"]
    )
    old = lake.read_json(f"news/manifests/{name}")["parts"][0]["tokens"]["sha256"]
    content = {"format": 1, "plan": "p", "digest": "d", "host": "h", "folder": "/f", "tokenizer": OLD}
    content |= {"parts": {"news": {"tokens": [old]}}, "manifests": {"news": name}}
    with lake.room(PINS).lock("test") as pins:
        pins.write_json("one.json", content | changed)


def counted(found: list[Garbage]) -> dict[tuple[str, str], int]:
    return {(garbage.room, garbage.kind): len(garbage.paths) for garbage in found}


def files(lake: Lake) -> set[str]:
    return {path for path in lake.fs.find(lake.root) if not path.endswith("lock") and "/lock/" not in path}


WITHOUT_PINS = {
    (DUPLICATES, "keys"): 1,
    (DUPLICATES, "receipts"): 1,
    ("news", "documents"): 1,
    ("news", "manifests"): 2,
    ("news", "receipts"): 3,
    ("news", "tokens"): 1,
    (TOKENIZER, "manifests"): 1,
    (TOKENIZER, "tokenizer"): 1,
    ("web", "documents"): 1,
}


def test_what_is_in_force_nowhere_goes(lake: Lake) -> None:
    before = files(lake)
    found = find(lake)
    assert counted(found) == WITHOUT_PINS
    assert files(lake) == before
    assert all(garbage.bytes == sum(lake.fs.size(path) for path in garbage.paths) for garbage in found)
    said: list[Garbage] = []
    delete_from(lake, said.extend)
    assert said == found
    assert files(lake) == before - {path for garbage in found for path in garbage.paths}
    assert find(lake) == []


def test_what_is_pinned_stays(lake: Lake) -> None:
    pin(lake)
    delete_from(lake, lambda found: None)
    assert find(lake) == []
    lake.fs.rm_file(f"{lake.root}/{PINS}/one.json")
    assert counted(find(lake)) == {
        ("news", "manifests"): 1,
        ("news", "receipts"): 1,
        ("news", "tokens"): 1,
        (TOKENIZER, "tokenizer"): 1,
    }


@pytest.mark.parametrize("changed", [{"format": 2}, {"format": None}])
def test_a_pin_that_is_not_understood_is_refused(lake: Lake, changed: dict) -> None:
    pin(lake, **changed)
    before = files(lake)
    for act in (find, lambda lake: delete_from(lake, lambda found: None)):
        with pytest.raises(LakeError, match=r"the pin .*one\.json is not of format 1"):
            act(lake)
    assert files(lake) == before


def test_the_tokenizer_that_counted_a_stale_corpus_stays(lake: Lake) -> None:
    with lake.room(TOKENIZER).lock("test") as room:
        room.write_json(f"tokenizer-{'4' * 64}.json", {})
        room.publish(tokenizer={"stage": "tokenizer", "fingerprint": "4" * 64})
    delete_from(lake, lambda found: None)
    there = lake.fs.glob(f"{lake.root}/{TOKENIZER}/tokenizer-*.json")
    assert sorted(path[-10:-5] for path in there) == ["11111", "44444"]


@pytest.mark.parametrize("name", ["news", "web", DUPLICATES, PINS])
def test_nothing_is_deleted_while_a_room_is_written(lake: Lake, name: str) -> None:
    before = files(lake)
    with (
        lake.room(name).lock("ingest"),
        pytest.raises(LakeError, match=f"{name} is being written by ingest"),
    ):
        delete_from(lake, lambda found: None)
    assert files(lake) == before


def test_what_a_killed_writer_left_is_counted_and_goes(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with lake.room("news").lock("test") as room:
        room.publish(ingest={"tasks": []})
    left = tmp_path / "lake/news/.tmp/task/documents-1"
    left.parent.mkdir(parents=True)
    left.write_text("half a part")
    assert find(lake) == [Garbage("news", "spool", (str(left),), 11)]
    said: list[Garbage] = []
    delete_from(lake, said.extend)
    assert [garbage.bytes for garbage in said] == [11]
    assert not left.parent.parent.exists()


def test_a_damaged_receipt_and_notes_of_parts_that_nothing_lists_go(lake: Lake) -> None:
    delete_from(lake, lambda found: None)
    room = lake.room("news")
    lake.fs.pipe_file(f"{room.root}/receipts/tokens/{'5' * 64}.json", b"[1")
    room.note_damaged("documents", "6" * 64)
    room.note_damaged("documents", (listed := room.manifest("ingest")["tasks"][0]["parts"][0]["documents"]["sha256"]))
    assert counted(find(lake)) == {("news", "receipts"): 1, ("news", "damaged"): 1}
    delete_from(lake, lambda found: None)
    assert find(lake) == []
    assert not room.whole("documents", room.manifest("ingest")["tasks"][0]["parts"][0]["documents"])
    assert listed not in room.sizes("documents")
