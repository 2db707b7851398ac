"""Runners and their options; what becomes of a run when Dask's workers or its scheduler are lost."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpora.errors import AssayError
from pipelines import runners, watchdog
from pipelines.parts import StageFailed
from pipelines.runners import Dask

ASSAY = Path(sys.executable).parent / "assay"
FILES = 16  # one task each, of more than half a megabyte: enough that a worker can be caught with half a part


def write(project) -> None:
    for i in range(FILES):
        project.write("news", f"{i:02}.jsonl", [project.prose(100 * i + j) for j in range(1300)])


@pytest.fixture
def news(project):
    write(project)
    return project


def start(project, **environment: str) -> subprocess.Popen:
    command = [ASSAY, "ingest", "news", "--runner", "dask", "--workers", "2", "--part-mb", "1"]
    return subprocess.Popen(
        command,
        cwd=project.folder,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def wait_for(found: Callable[[], object]) -> object:
    """What `found` finds, as soon as it finds something."""
    while not (there := found()):
        time.sleep(0.005)
    return there


def receipts(project) -> list[Path]:
    return list(project.folder.glob("lake/news/receipts/ingest/*"))


def kill_with_half_a_part(project, spared: set[int]) -> int:
    """Kill a worker, but none of `spared`, that has part of a documents part written; its process number."""

    def caught() -> int | None:
        for note in project.folder.glob(f"lake/news/.tmp/*/run-*/*{watchdog.TASK}"):
            pid, _, key = note.stem.partition("-")
            with contextlib.suppress(ProcessLookupError):
                if int(pid) not in spared:
                    os.kill(int(pid), signal.SIGSTOP)
                    if list(project.folder.glob(f"lake/news/.tmp/*/{key}-*/documents-*")) and note.exists():
                        os.kill(int(pid), signal.SIGKILL)
                        return int(pid)
                    os.kill(int(pid), signal.SIGCONT)
        return None

    return wait_for(caught)


def wait_until_all_are_gone(run: subprocess.Popen) -> None:
    """Wait for the end of all processes of a run: Python's own that clean up after others end a moment later."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(run.pid, 0)
            time.sleep(0.01)


def test_dask_workers_killed_one_after_the_other_leave_the_same_bytes(news, new_project: Callable) -> None:
    write(whole := new_project())
    whole.ingest("news", part_bytes=1 << 20)
    run = start(news)
    killed = {kill_with_half_a_part(news, set())}
    killed.add(kill_with_half_a_part(news, killed))
    _, said = run.communicate()
    assert run.returncode == 0, said
    assert said.splitlines()[0] == "news: documents: 16 of 16 tasks done."
    assert len(killed) == 2
    wait_until_all_are_gone(run)
    assert news.published() == whole.published()
    assert not (news.folder / "lake/news/.tmp").exists()


def test_a_part_that_every_dask_worker_dies_of_is_named_and_the_next_run_does_it(news) -> None:
    run = start(news, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    wait_for(lambda: receipts(news))
    kill_with_half_a_part(news, set())
    _, said = run.communicate()
    assert run.returncode == 1
    assert "the first at " in said and ".jsonl (each Dask worker that did it died, 1 in all)" in said
    assert len(said.splitlines()) == 1, said
    wait_until_all_are_gone(run)
    done = len(receipts(news))
    assert news.ingest("news", part_bytes=1 << 20).done == FILES - done < FILES
    assert not (news.folder / "lake/news/.tmp").exists()


def test_ctrl_c_ends_a_dask_cluster_and_keeps_what_is_done(news) -> None:
    run = start(news)
    wait_for(lambda: receipts(news))
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate()
    assert run.returncode == 130, said
    assert len(said.splitlines()) == 1, said
    wait_until_all_are_gone(run)
    assert not (news.folder / "lake/news/.tmp").exists()
    done = len(receipts(news))
    assert news.ingest("news", part_bytes=1 << 20).done == FILES - done < FILES


def test_a_dask_cluster_ends_with_its_driver(news) -> None:
    run = start(news)
    wait_for(lambda: receipts(news))
    run.kill()  # it alone
    run.communicate()
    wait_until_all_are_gone(run)
    assert news.ingest("news", part_bytes=1 << 20).done < FILES
    assert not (news.folder / "lake/news/.tmp").exists()


@pytest.fixture
def scheduler() -> Iterator[str]:
    """The address of a scheduler without workers."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address=None, protocol="tcp", silence_logs=50) as cluster:
        yield cluster.scheduler_address


@contextlib.contextmanager
def worker(scheduler: str, folder: Path) -> Iterator[subprocess.Popen]:
    """A worker process that nobody starts again."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny", "--no-dashboard"]
    with (folder / "worker.log").open("w") as log:
        process = subprocess.Popen([*command, "--local-directory", folder], stderr=log, stdout=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_left_without_workers_ends_the_run_with_the_name_of_the_part(
    news, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker(scheduler, tmp_path) as only:

        def kill() -> None:
            wait_for(lambda: receipts(news))
            kill_with_half_a_part(news, set())
            monkeypatch.setattr(runners, "PATIENCE", 1.0)

        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(StageFailed, match=r"at \d\d\.jsonl \(the Dask scheduler has had no worker, .*seconds\)"):
            news.ingest("news", part_bytes=1 << 20, runner="dask", scheduler=scheduler)
        assert only.wait() == -signal.SIGKILL
    done = len(receipts(news))
    monkeypatch.undo()
    with worker(scheduler, tmp_path):
        assert news.ingest("news", part_bytes=1 << 20, runner="dask", scheduler=scheduler).done == FILES - done < FILES


def test_what_a_dask_cluster_cannot_do_is_one_sentence(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker(scheduler, tmp_path):
        from distributed import Client

        with Client(scheduler) as client:
            client.wait_for_workers(1)
        Dask(scheduler).check(tmp_path)
        with pytest.raises(AssayError, match=r"worker tcp://.* does not see .*elsewhere: a lake that workers"):
            Dask(scheduler).check(tmp_path / "elsewhere")
        version = importlib.metadata.version
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == "numba" else version(name))
        with pytest.raises(AssayError, match=r"has numba .* and this machine has 0\.1: the same bytes need"):
            Dask(scheduler).check(tmp_path)
