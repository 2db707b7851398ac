"""Raw files that change while they are read or between runs, whatever the clocks say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileOpener
from fsspec.implementations.memory import MemoryFile

from pipelines.parts import StageFailed


@pytest.fixture
def project(project):
    """A lake of one file, and a second file that was not read yet."""
    project.write("news", "a.jsonl", [project.prose(1), project.prose(2)])
    project.ingest("news")
    project.write("news", "b.jsonl", [project.prose(i) for i in range(3, 40)])
    return project


def ingested(project) -> dict:
    return project.lake.room("news").manifest("ingest")


def backwards(file: Path) -> None:
    """Write a file again, in place, with as many bytes."""
    data = file.read_bytes()
    with file.open("r+b") as same:
        same.write(data[::-1])


@pytest.mark.parametrize("part_bytes", [1 << 20, 3_000], ids=["whole", "slices"])
def test_a_file_that_changes_while_it_is_read_is_named_and_read_by_the_next_run(
    project, new_project: Callable, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    file, read, changed = project.folder / "data/raw/news/b.jsonl", LocalFileOpener.read, []

    def changing(self: LocalFileOpener, *arguments: int) -> bytes:
        data = read(self, *arguments)
        if self.path == str(file) and self.tell() > 4 and not changed:  # more than a look at its first bytes
            changed.append(backwards(file))
        return data

    before = project.published()
    with monkeypatch.context() as patch:
        patch.setattr(LocalFileOpener, "read", changing)
        with pytest.raises(
            StageFailed, match=r"ChangedError: the raw file b\.jsonl changed.* the same command goes on"
        ):
            project.ingest("news", part_bytes=part_bytes)
    assert project.published() == before
    backwards(file)
    once = new_project()
    shutil.copytree(project.folder / "data", once.folder / "data")
    for p in (project, once):
        p.ingest("news", part_bytes=part_bytes)
    assert ingested(project)["row_digest"] == ingested(once)["row_digest"]


def test_a_file_in_a_bucket_that_is_gone_is_named(project, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, bucket = fsspec.filesystem("memory"), f"memory://{project.folder.name}-raw"
    for name in ("a", "b"):
        fs.pipe_file(f"{bucket}/{name}.jsonl", (project.folder / f"data/raw/news/{name}.jsonl").read_bytes())
    before, read = ingested(project), MemoryFile.read

    def vanishing(self: MemoryFile, *arguments: int) -> bytes:
        if self.path.endswith("a.jsonl") and fs.exists(f"{bucket}/b.jsonl"):
            fs.rm_file(f"{bucket}/b.jsonl")
        return read(self, *arguments)

    monkeypatch.setattr(MemoryFile, "read", vanishing)
    with pytest.raises(StageFailed, match=r"FileNotFoundError: .*b\.jsonl"):
        project.ingest("news", f"{bucket}/**")
    assert ingested(project) == before
    project.ingest("news", f"{bucket}/**")
    assert [task["inputs"][0]["path"] for task in ingested(project)["tasks"]] == ["a.jsonl"]


def test_no_clock_decides(project, new_project: Callable) -> None:
    """Times of 1970 and of 2100 give the same manifest, and an older time than before is another one."""
    raw, ends = project.folder / "data/raw", []
    for year in (0, 130):
        for file in raw.rglob("*.jsonl"):
            os.utime(file, (year * 31_557_600,) * 2)  # 0 is what reproducible archives give
        later = new_project()
        shutil.copytree(raw, later.folder / "data/raw")  # with their times
        later.ingest("news")
        ends.append(later.published())
    assert ends[0] == ends[1]

    file, before = later.folder / "data/raw/news/a.jsonl", ingested(later)
    file.write_bytes(file.read_bytes().replace(b"market", b"tekram"))
    os.utime(file, (1, 1))
    assert later.ingest("news").done == 1
    assert ingested(later)["tasks"][0]["inputs"] == before["tasks"][0]["inputs"]
    assert ingested(later)["row_digest"] != before["row_digest"]
    assert later.ingest("news").done == 0
