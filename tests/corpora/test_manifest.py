"""Manifests in pages: the same files for the same manifest, and few of them for a small change."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import LakeError
from corpora.lake import Lake
from corpora.manifest import PAGE_BYTES, joined, name_of, pages_of, split

ENTRIES = [{"path": f"{i:04}.jsonl", "rows": i} for i in range(400)]


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers(), max_size=300)))
def test_what_is_split_is_joined_again(manifest):
    root, pages = split(manifest)
    assert joined(root, pages) == manifest
    assert set(pages_of(root)) == pages.keys()


def test_a_corpus_may_be_named_pages():
    manifest = {"inputs": {"pages": {"priority": 1}}}
    assert split(manifest) == (manifest, {})
    assert joined(manifest, {}) == manifest


def test_a_root_is_named_by_what_it_holds(lake):
    room = lake.room("news")
    path = f"{room.root}/manifests/{room.current()['ingest']}"
    lake.fs.pipe_file(path, lake.fs.cat_file(path).replace(b'"n": 2', b'"n": 3'))
    with pytest.raises(LakeError, match=r"ingest-.* is not named by its content: it was changed; delete .*current"):
        room.manifest("ingest")


def test_a_short_list_stays_in_the_root():
    manifest = {"tasks": [{"n": 1}], "totals": {"pages": 3}}
    assert split(manifest) == (manifest, {})


def test_an_entry_more_or_less_touches_the_page_that_it_is_in():
    _, pages = split({"tasks": ENTRIES})
    assert 5 < len(pages) < 40
    for changed in (ENTRIES[:200] + ENTRIES[201:], [*ENTRIES, {"path": "more"}], ENTRIES[:9] + [{}] + ENTRIES[10:]):
        _, after = split({"tasks": changed})
        assert len(pages.keys() - after.keys()) == 1
        assert len(after.keys() - pages.keys()) <= 2


def test_a_long_entry_ends_its_page():
    entries = [{"path": "x" * PAGE_BYTES, "n": i} for i in range(3)]
    root, pages = split({"tasks": entries})
    assert len(root["tasks"]["pages"]) == len(pages) == 3


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path)
    with lake.room("news").lock("test") as room:
        room.publish(ingest={"tasks": ENTRIES, "n": 1})
        room.publish(ingest={"tasks": ENTRIES, "n": 2})
    return Lake(tmp_path)


def test_pages_in_force_are_not_written_again(lake, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("news/manifests/page-*")}
    with lake.room("news").lock("test") as room:
        room.publish(ingest={"tasks": ENTRIES[:300], "n": 3})
        room.publish(ingest={"tasks": ENTRIES, "n": 2})
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("news/manifests/page-*")}
    kept = [path for path in before if after[path] == before[path]]
    assert len(kept) > len(before) / 2
    assert Lake(tmp_path).room("news").manifest("ingest") == {"tasks": ENTRIES, "n": 2}


def test_a_page_is_named_by_what_it_unpacks_to(lake):
    room = lake.room("news")
    root = lake.read_json(f"news/manifests/{room.current()['ingest']}")
    assert room.current()["ingest"] == name_of("ingest", root)
    page = f"{room.root}/manifests/{pages_of(root)[0]}"
    whole = lake.fs.cat_file(page)
    flipped = [bytes([*whole[:i], whole[i] ^ 128, *whole[i + 1 :]]) for i in range(16)]  # sizes, too
    for content in (zstandard.compress(b"[]"), b"no zstd", b"", *flipped):
        lake.fs.pipe_file(page, content)
        with pytest.raises(LakeError, match=r"the manifest .*ingest-.* is damaged: page-"):
            room.manifest("ingest")
    lake.fs.rm_file(page)
    with pytest.raises(
        LakeError, match=r"names the manifest ingest-.*, which is not there, or not all of its pages; delete "
    ):
        room.manifest("ingest")
