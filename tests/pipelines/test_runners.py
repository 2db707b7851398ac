"""Runners and their options; what becomes of a run when Dask's workers or its scheduler are lost."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PortableOptions,
    SparkRunnerOptions,
    WorkerOptions,
)

from corpora.errors import AssayError, ConfigError
from pipelines import dask_cluster, runners, watchdog
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


def start(project) -> subprocess.Popen:
    command = [ASSAY, "ingest", "news", "--runner", "dask", "--workers", "2", "--part-mb", "1"]
    return subprocess.Popen(command, cwd=project.folder, start_new_session=True, stderr=subprocess.PIPE, text=True)


def wait_for(found: Callable[[], object]) -> object:
    """What `found` finds, as soon as it finds something."""
    while not (there := found()):
        time.sleep(0.005)
    return there


def receipts(project) -> list[Path]:
    return list(project.folder.glob("lake/news/receipts/ingest/*"))


def notes(project) -> list[Path]:
    """What says which worker does which task."""
    return list(project.folder.glob(f"lake/news/.tmp/*/run-*/*{watchdog.TASK}"))


def kill_with_half_a_part(project, spared: int = 0) -> int:
    """Kill a worker, but not `spared`, that has part of a documents part written; its process number."""

    def caught() -> int | None:
        for note in notes(project):
            pid, _, key = note.stem.partition("-")
            with contextlib.suppress(ProcessLookupError):
                if int(pid) != spared:
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


def assert_goes_on(project) -> None:
    """The next run does what is missing, no more, and leaves nothing behind."""
    done = len(receipts(project))
    assert project.ingest("news", part_bytes=1 << 20).done == FILES - done < FILES
    assert not (project.folder / "lake/news/.tmp").exists()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two worker processes, which start again when they are killed."""
    with dask_cluster.started(2, tmp_path_factory.mktemp("dask")) as address:
        yield address


def test_dask_workers_killed_one_after_the_other_leave_the_same_bytes(
    news, new_project: Callable, cluster: str
) -> None:
    write(whole := new_project())
    whole.ingest("news", part_bytes=1 << 20)
    seen, killed = set(), []

    def kill() -> None:
        while len(receipts(news)) < 4:
            seen.update(note.name.partition("-")[0] for note in notes(news))
        killed.append(kill_with_half_a_part(news))
        killed.append(kill_with_half_a_part(news, spared=killed[0]))

    threading.Thread(target=kill, daemon=True).start()
    assert news.ingest("news", part_bytes=1 << 20, runner="dask", scheduler=cluster).done == FILES
    assert len(seen) == 2  # the parts are dealt out to all workers
    assert len(set(killed)) == 2
    assert news.published() == whole.published()
    assert not (news.folder / "lake/news/.tmp").exists()


def test_a_part_that_every_dask_worker_dies_of_is_named_and_the_next_run_does_it(news, cluster: str) -> None:
    from distributed import Client

    def allow(failures: int) -> None:
        with Client(cluster) as client:
            client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", failures))

    def kill() -> None:
        wait_for(lambda: receipts(news))
        kill_with_half_a_part(news)

    allow(0)  # so that once is enough
    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(StageFailed, match=r"the first at \d\d\.jsonl \(each Dask worker that did it died, 1 in all\)"):
        news.ingest("news", part_bytes=1 << 20, runner="dask", scheduler=cluster)
    allow(3)
    assert_goes_on(news)


def test_ctrl_c_ends_a_dask_cluster_and_keeps_what_is_done(news) -> None:
    run = start(news)
    wait_for(lambda: receipts(news))
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate()
    assert run.returncode == 130, said
    assert len(said.splitlines()) == 1, said
    wait_until_all_are_gone(run)
    assert not (news.folder / "lake/news/.tmp").exists()
    assert_goes_on(news)


def test_a_dask_cluster_ends_with_its_driver(news) -> None:
    run = start(news)
    wait_for(lambda: receipts(news))
    run.kill()  # it alone
    run.communicate()
    wait_until_all_are_gone(run)
    assert_goes_on(news)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler without workers."""
    import dask
    from distributed import LocalCluster

    options = {"processes": False, "protocol": "tcp", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with dask.config.set(temporary_directory=str(tmp_path)), LocalCluster(n_workers=0, **options) as cluster:
        yield cluster.scheduler_address


@contextlib.contextmanager
def worker(scheduler: str, folder: Path) -> Iterator[subprocess.Popen]:
    """A worker process that nobody starts again."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny", "--no-dashboard"]
    with (folder / "worker.log").open("w") as log:
        environment = os.environ | {"DASK_TEMPORARY_DIRECTORY": str(folder)}
        process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
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
            kill_with_half_a_part(news)
            monkeypatch.setattr(runners, "PATIENCE", 1.0)

        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(StageFailed, match=r"at \d\d\.jsonl \(the Dask scheduler has had no worker, .*seconds\)"):
            news.ingest("news", part_bytes=1 << 20, runner="dask", scheduler=scheduler)
        assert only.wait() == -signal.SIGKILL
    done = len(receipts(news))
    monkeypatch.undo()
    with worker(scheduler, tmp_path):
        assert news.ingest("news", part_bytes=1 << 20, runner="dask", scheduler=scheduler).done == FILES - done < FILES


def test_workers_that_would_not_give_the_same_bytes_are_refused(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Dask(cluster).check(tmp_path)
    with pytest.raises(AssayError, match=r"worker tcp://.* does not see .*elsewhere: a lake that workers"):
        Dask(cluster).check(tmp_path / "elsewhere")
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == "numba" else version(name))
    with pytest.raises(AssayError, match=r"has numba .* and this machine has 0\.1: the same bytes need"):
        Dask(cluster).check(tmp_path)


def test_a_scheduler_that_is_not_there_is_one_sentence(project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "CONNECT", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "tcp://127.0.0.1:{1}".format(*free.getsockname())
        project.write("news", "a.jsonl", [project.prose(1)])
        with pytest.raises(AssayError, match=f"no Dask scheduler answers at {address}"):
            project.ingest("news", runner="dask", scheduler=address)
    assert not (project.folder / "lake/news/.tmp").exists()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port(server: socket.socket) -> int:
    return server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_what_is_no_scheduler_is_one_sentence(
    scheme: str, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "CONNECT", 0.3)
    unheard = []
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    with pytest.raises(AssayError, match=f"no Dask scheduler answers at {scheme}://127.0.0.1:{port(silent)}: ."):
        Dask(f"{scheme}://127.0.0.1:{port(silent)}").check(None)
    gc.collect()
    assert not unheard


def test_ctrl_c_while_a_scheduler_is_looked_at_is_one_sentence(project, silent: socket.socket) -> None:
    project.write("news", "a.jsonl", [project.prose(1)])
    command = [ASSAY, "ingest", "news", "--runner", "dask", "--scheduler", f"tcp://127.0.0.1:{port(silent)}"]
    run = subprocess.Popen(command, cwd=project.folder, start_new_session=True, stderr=subprocess.PIPE, text=True)
    with silent.accept()[0]:
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate()
    assert (run.returncode, len(said.splitlines())) == (130, 1), said
    assert not (project.folder / "lake/news/.tmp").exists()


def test_without_dask_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'corpus-assay\[dask\]'"):
        Dask().check(None)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "fink"}, "--runner 'fink' is none of threads, processes, dask, flink, spark, dataflow"),
        ({"name": "threads", "scheduler": "tcp://a:1"}, "--scheduler goes with --runner dask"),
        ({"name": "dask", "scheduler": "10.0.0.1"}, "--scheduler '10.0.0.1' is no address such as tcp://"),
        ({"name": "dask", "options": ["a=b"]}, "--runner-option goes with --runner flink, spark, dataflow"),
        ({"name": "flink", "options": ["="]}, "--runner-option '=' is not KEY=VALUE"),
        ({"name": "flink"}, "--runner flink needs --runner-option job_endpoint=HOST:PORT, or flink_submit_uber_jar"),
        (
            {"name": "flink", "options": ["job_endpoint=a:1", "parallelism=x"]},
            "refuses .*: argument --parallelism: inv",
        ),
        ({"name": "spark", "options": ["job_endpoint=a:1", "environment_type=X"]}, "Unknown environment type: X"),
        ({"name": "dataflow", "options": ["project=p"]}, "--runner dataflow needs --runner-option region="),
    ],
)
def test_options_that_do_not_go_together_are_refused(given: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        runners.of(**given).check(None)


def test_a_job_server_that_is_not_there_is_one_sentence_and_no_file_stays(
    silent: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runners.of("flink", options=[f"job_endpoint=127.0.0.1:{port(silent)}"]).check(None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = "{}:{}".format(*free.getsockname())
        with pytest.raises(AssayError, match=f"job_endpoint={endpoint}: nothing answers there"):
            runners.of("flink", options=[f"job_endpoint={endpoint}"]).check(None)
    assert not list(tmp_path.iterdir())


def test_options_of_beams_cluster_runners_are_those_that_beam_knows() -> None:
    flink = runners.of("flink", 8, options=["flink_master=host:8081", "environment_type=DOCKER"]).beam_options()
    assert flink.view_as(FlinkRunnerOptions).flink_master == "host:8081"
    assert flink.view_as(FlinkRunnerOptions).parallelism == 8
    assert flink.view_as(PortableOptions).environment_type == "DOCKER"
    spark = runners.of("spark", 8, options=["spark_master_url=spark://host:7077", "spark_submit_uber_jar"])
    assert spark.beam_options().view_as(SparkRunnerOptions).spark_master_url == "spark://host:7077"
    assert spark.beam_options().view_as(SparkRunnerOptions).spark_submit_uber_jar
    google = ["project=p", "region=r", "temp_location=gs://b/tmp", "sdk_container_image=image"]
    dataflow = runners.of("dataflow", 8, options=google)
    dataflow.check(None)
    assert dataflow.beam_options().view_as(GoogleCloudOptions).temp_location == "gs://b/tmp"
    assert dataflow.beam_options().view_as(WorkerOptions).max_num_workers == 8
    assert dataflow.beam_options().view_as(WorkerOptions).sdk_container_image == "image"
    with pytest.raises(ConfigError, match="dataflow needs a lake in a bucket"):
        dataflow.check(Path("lake"))
