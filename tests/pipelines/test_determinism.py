"""Same inputs, config and tokenizer: the same bytes, whoever did the work, where, and after how many interruptions."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import sample
from corpora.part import Part
from corpora.readers import jsonl
from pipelines import dask_cluster
from pipelines.parts import Interrupted, StageFailed

SMALL = 1 << 18  # bytes of a task, so that the sample has several
FILES = 60  # one task each: enough of them that a run can be stopped half-way on a busy machine


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded sample's filings and press releases."""
    folder = tmp_path_factory.mktemp("raw")
    sample.write_sample(folder, ["filings", "press"])
    return folder


def build(project, raw: Path, workers: int, **runner: str) -> dict[str, bytes]:
    for corpus in ("filings", "press"):
        project.ingest(corpus, str(raw / corpus), workers=workers, part_bytes=SMALL, max_quarantined=0.05, **runner)
    project.tokenize(workers=workers, **runner)
    return project.published()


def test_workers_runners_and_places_give_the_same_bytes(new_project: Callable, raw: Path, tmp_path: Path) -> None:
    expected = build(new_project(), raw, 1)
    assert len([name for name in expected if name.startswith("filings/documents/")]) > 3
    elsewhere = shutil.copytree(raw, tmp_path / "another place" / "raw")  # other absolute path, other times
    assert build(new_project(), elsewhere, 2) == expected
    assert build(new_project(), raw, 2, runner="processes") == expected
    with dask_cluster.started(2, tmp_path) as scheduler:
        assert build(new_project(), raw, 2, runner="dask", scheduler=scheduler) == expected


def test_interrupted_and_started_again(new_project: Callable, project) -> None:
    def write(into) -> None:
        for i in range(FILES):
            into.write("news", f"{i:02}.jsonl", [into.prose(100 * i + j) for j in range(200)])

    whole = new_project()
    write(whole)
    whole.ingest("news", part_bytes=1 << 17)
    write(project)
    receipts = project.folder / "lake/news/receipts/ingest"
    interrupt_when(lambda: receipts.is_dir() and len(list(receipts.iterdir())) >= 2)
    with pytest.raises(Interrupted, match="goes on with what is missing"):
        project.ingest("news", part_bytes=1 << 17)
    done = {path.name: path.stat().st_mtime_ns for path in receipts.iterdir()}
    assert 2 <= len(done) < FILES
    assert project.lake.room("news").current() == {}

    assert project.ingest("news", part_bytes=1 << 17).done == FILES - len(done)
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in receipts.iterdir()}.items()
    assert project.published() == whole.published()


def interrupt_when(true: Callable[[], bool]) -> None:
    def wait() -> None:
        while not true():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def test_ctrl_c_in_a_terminal_stops_worker_processes(project) -> None:
    """A terminal sends SIGINT to every process of the group: workers finish their batch, and none is left behind."""
    for i in range(FILES):
        project.write("news", f"{i:02}.jsonl", [project.prose(100 * i + j) for j in range(2000)])
    receipts = project.folder / "lake/news/receipts/ingest"
    command = [Path(sys.executable).parent / "assay", "ingest", "news", "--runner", "processes", "--part-mb", "1"]
    run = subprocess.Popen(command, cwd=project.folder, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not (receipts.is_dir() and any(receipts.iterdir())):
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)  # no process of the group is left


def test_a_task_that_fails_is_named_and_the_others_are_done(project, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        project.write("news", f"{i}.jsonl.gz", [project.prose(i)])
    read = jsonl.read

    def breaks(source, options, counts):
        if source.path == "2.jsonl.gz":
            raise RuntimeError("the disk is on fire")
        yield from read(source, options, counts)

    with monkeypatch.context() as broken:
        broken.setattr(jsonl, "read", breaks)
        with pytest.raises(
            StageFailed, match=r"1 of 4 tasks failed, the first at 2\.jsonl\.gz \(RuntimeError: the disk"
        ):
            project.ingest("news", part_bytes=1)
    assert project.ingest("news", part_bytes=1).done == 1


def test_a_full_disk_is_one_sentence_and_harms_nothing(project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the reason can be written; the part that was being written leaves nothing behind."""
    project.write("news", "a.jsonl", [project.prose(1)])
    project.ingest("news")
    before = project.published()
    project.write("news", "b.jsonl", [project.prose(2)])

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(Part, "of", full)
        disk.setattr("pipelines.parts._leave", lambda file, text: None)
        with pytest.raises(StageFailed, match=r"the first at b\.jsonl \(its worker is gone, or the disk is full"):
            project.ingest("news")
    assert project.published() == before
    with (
        monkeypatch.context() as disk,
        pytest.raises(StageFailed, match=r"b\.jsonl \(OSError: .*No space left on device"),
    ):
        disk.setattr(Part, "of", full)
        project.ingest("news")
    assert project.ingest("news").done == 1


def test_a_killed_run_is_gone_on_with(project, new_project: Callable) -> None:
    for p in (project, whole := new_project()):
        for i in range(FILES):
            p.write("news", f"{i:02}.jsonl", [p.prose(100 * i + j) for j in range(500)])
    whole.ingest("news", part_bytes=1 << 18)
    receipts = project.folder / "lake/news/receipts/ingest"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from conftest import Project; from pathlib import Path;"
        "Project(Path(sys.argv[2]), None).ingest('news', part_bytes=1 << 18)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, Path(__file__).parent, project.folder])
    while run.poll() is None and not (receipts.is_dir() and len(list(receipts.iterdir())) >= 2):
        time.sleep(0.005)
    run.kill()
    run.wait()
    assert 0 < project.ingest("news", part_bytes=1 << 18).done < FILES
    assert project.published() == whole.published()
    assert not (project.folder / "lake/news/.tmp").exists()
