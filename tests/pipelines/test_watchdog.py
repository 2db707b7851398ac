"""A worker process that is killed or hangs ends the run with the name of the part; one whose driver is gone ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import watchdog
from pipelines.parts import StageFailed

ASSAY = Path(sys.executable).parent / "assay"
FILES = 24  # one task each, of more than half a megabyte: enough that a run can be caught half-way


@pytest.fixture
def news(project):
    """Many raw files."""
    for i in range(FILES):
        project.write("news", f"{i:02}.jsonl", [project.prose(100 * i + j) for j in range(1300)])
    return project


def start(project) -> subprocess.Popen:
    command = [ASSAY, "ingest", "news", "--runner", "processes", "--workers", "2", "--part-mb", "1"]
    return subprocess.Popen(command, cwd=project.folder, start_new_session=True, stderr=subprocess.PIPE, text=True)


def wait_for(found: Callable[[], list]) -> list:
    """What `found` finds, as soon as it finds something."""
    while not (there := found()):
        time.sleep(0.005)
    return there


def notes(project, end: str) -> list[Path]:
    return sorted(project.folder.glob(f"lake/news/.tmp/*/run-*/*{end}"))


def workers_at_work(project) -> list[int]:
    """Process numbers of the workers once some parts are done and each of them is doing another."""
    wait_for(lambda: list(project.folder.glob("lake/news/receipts/ingest/*"))[1:])
    tasks = wait_for(lambda: len(found := notes(project, watchdog.TASK)) > 1 and found)
    return [int(note.name.partition("-")[0]) for note in tasks]


def assert_goes_on(project) -> None:
    """Nothing is left behind, and the next run does what is missing, no more."""
    assert not (project.folder / "lake/news/.tmp").exists()
    done = len(list(project.folder.glob("lake/news/receipts/ingest/*")))
    assert project.ingest("news", part_bytes=1 << 20).done == FILES - done < FILES
    assert not (project.folder / "lake/news/.tmp").exists()


def test_a_killed_worker_process_ends_the_run_with_the_name_of_its_part(news) -> None:
    run = start(news)
    os.kill(workers_at_work(news)[0], signal.SIGKILL)
    _, said = run.communicate()
    assert run.returncode == 1
    assert "tasks are not done, the first at " in said and ".jsonl (its worker process " in said
    assert len(said.splitlines()) == 1, said
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)  # no process of the group is left
    assert_goes_on(news)


def test_a_worker_process_killed_before_it_has_a_task_ends_the_run(news) -> None:
    run = start(news)
    os.kill(int(wait_for(lambda: notes(news, watchdog.WORKER))[0].stem), signal.SIGKILL)
    _, said = run.communicate()
    assert run.returncode == 1
    assert "was killed or broke down" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)


def test_worker_processes_end_with_their_driver(news) -> None:
    run = start(news)
    workers_at_work(news)
    run.kill()  # it alone
    run.communicate()
    wait_for(lambda: not _group_is_there(run.pid))
    assert news.ingest("news", part_bytes=1 << 20).done < FILES
    assert not (news.folder / "lake/news/.tmp").exists()


def _group_is_there(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_worker_processes_that_stop_are_not_lost_until_after_a_long_silence(
    news, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, waited = [], []

    def stop() -> None:
        while len(stopped) < 2 or len(notes(news, watchdog.TASK)) < 2:  # one may have been between two parts
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            stopped[:] = workers_at_work(news)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
        time.sleep(2)
        waited.extend(notes(news, watchdog.WORKER))  # the run goes on waiting
        monkeypatch.setattr(watchdog, "SILENCE", 1.0)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(StageFailed, match=r"at \d\d\.jsonl \(no worker process has read a byte for 1 seconds\)"):
        news.ingest("news", part_bytes=1 << 20, workers=2, runner="processes")
    assert len(stopped) == len(waited) == 2
    for pid in stopped:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert_goes_on(news)


def test_nothing_is_watched_without_worker_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "SILENCE", 0.0)
    assert watchdog.Watchdog(tmp_path).lost(0) is None


def test_an_orderly_end_is_no_loss(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    note = tmp_path / f"{ended.pid}{watchdog.WORKER}"
    note.touch()
    assert "broke down" in watchdog.Watchdog(tmp_path).lost(0)[0]
    note.unlink()
    assert watchdog.Watchdog(tmp_path).lost(0) is None
