"""Where pipelines run: options only. Every pipeline is one chain with one leaf, so each runs unchanged on any of these.

Of its workers every runner needs the same: this package in the same versions (the same bytes depend on them), and raw
files and a lake at paths or URLs that all of them see. They leave notes of progress and failure in the run's folder.

`threads`, `processes`: Beam's FnApiRunner on this machine, always named: Beam's plain DirectRunner would first try to
download a Prism binary. It tries nothing again: a lost worker process ends the run (`pipelines/watchdog.py`).

`dask`: Beam's DaskRunner, on a local cluster of processes, made for each stage, or on a scheduler that runs already. It
computes the last transform only, which is all that such a chain has. Dask gives the tasks of a lost worker to others,
four times; then, or where no worker is left, the run ends with the names of the parts. The scheduler unpacks the tasks:
it too needs this package. Dask asks for no password: who reaches a port of it can run anything as its user. The tests
run both kinds of cluster, on one machine.

`flink`, `spark`, `dataflow`: NOT RUN HERE. Their options are built as Beam's documentation has it
(https://beam.apache.org/documentation/runners/flink/, .../spark/, .../dataflow/, and
https://beam.apache.org/documentation/runtime/sdk-harness-config/); every option of Beam's is handed through as it is.
- Python runs in containers of an image with this package (`environment_type=DOCKER`, the default on a cluster, and
  `environment_config=IMAGE`), in processes that the cluster starts (`PROCESS`) or in a pool that is there (`EXTERNAL`).
  `LOOPBACK` does all work in the driver: to try out, not for a cluster.
- `flink`: `job_endpoint=localhost:8099` names a job server that runs (Beam starts one in a main thread only, where no
  stage runs); or `flink_submit_uber_jar` with `flink_master=HOST:8081`, which fetches a jar once. `flink_version` is
  the cluster's, to the minor. `--workers` is its `parallelism`.
- `spark`: `job_endpoint` as with Flink, for Spark 3; or `spark_submit_uber_jar` with `spark_rest_url=http://HOST:6066`
  and `spark_master_url=spark://HOST:7077`.
- `dataflow`: `project`, `region` and `temp_location=gs://BUCKET/tmp` must be given, and a lake in a bucket;
  `sdk_container_image=IMAGE` has this package; Beam needs its extra, apache-beam[gcp]. `--workers` is its
  `max_num_workers`. Ctrl-C does not cancel a job there.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import socket
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from corpora.errors import AssayError, ConfigError
from pipelines import dask_cluster, watchdog

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

MODES = ("threads", "processes")
BEAM_NAMES = {"flink": "FlinkRunner", "spark": "SparkRunner", "dataflow": "DataflowRunner"}
NAMES = (*MODES, "dask", *BEAM_NAMES)
PARALLEL = {"flink": "parallelism", "dataflow": "max_num_workers"}  # Beam's options for the number of workers
OPTION = re.compile(r"(--)?[A-Za-z]\w*(=.*)?", re.DOTALL)
# What does without a job server. Beam itself can start one in the main thread only, where no stage runs.
UBER_JAR = {
    "flink": ("flink_submit_uber_jar", "flink_master"),
    "spark": ("spark_submit_uber_jar", "spark_rest_url"),
}
# Beam's options that say where to connect to: the first that is given is where the driver connects.
ENDPOINTS = ("job_endpoint", "spark_rest_url", "flink_master", "spark_master_url")
HOST_PORT = re.compile(r"(?:\w+://)?(?:\[(.+)\]|([^\[\]:/,]+)):(\d+)/?")
NEEDED = {"dataflow": ("project", "region", "temp_location")}

LOOK = 1.0  # seconds between two looks at a Dask cluster
CONNECT = 10.0  # seconds that a scheduler or a job server has to answer; twice that to say what it and its workers have
PATIENCE = 60.0  # seconds that a scheduler may be without a worker, or out of reach


class WorkersLost(AssayError):
    """Workers are gone and the stage cannot end; `keys` are the tasks that they were doing."""

    def __init__(self, why: str, keys: Sequence[str]) -> None:
        super().__init__(why)
        self.keys = keys


class Runner(Protocol):
    """What a stage asks of a runner."""

    def check(self, folder: Path | None) -> None:
        """Raise AssayError where the runner is not to be had, or its workers do not see `folder`, if one is given."""

    def pipeline(self, n_tasks: int, folder: Path) -> AbstractContextManager[beam.Pipeline]:
        """A pipeline that runs when its context ends; in `folder` its workers leave their notes.

        Beam is imported here: a run that finds all up to date never needs it.
        """

    def for_numpy(self) -> Runner:
        """The runner of stages that are numpy alone: processes made for them would only have to start."""


def of(name: str, workers: int = 0, scheduler: str | None = None, options: Sequence[str] = ()) -> Runner:
    """The runner of a name, as the command line has it; `options` are Beam's, as KEY=VALUE. Raises ConfigError."""
    if name not in NAMES:
        raise ConfigError(f"--runner {name!r} is none of {', '.join(NAMES)}")
    if scheduler and name != "dask":
        raise ConfigError("--scheduler goes with --runner dask")
    if scheduler and not re.fullmatch(r"(tcp|tls|ws|wss)://.+:\d+", scheduler):
        raise ConfigError(f"--scheduler {scheduler!r} is no address such as tcp://10.0.0.1:8786")
    if options and name not in BEAM_NAMES:
        raise ConfigError(f"--runner-option goes with --runner {', '.join(BEAM_NAMES)}")
    for option in options:
        if not OPTION.fullmatch(option):
            raise ConfigError(f"--runner-option {option!r} is not KEY=VALUE, such as parallelism=8")
    if name in MODES:
        return Local(workers, name)
    return Dask(scheduler, workers) if name == "dask" else Portable(name, workers, tuple(options))


@dataclass(frozen=True)
class Local:
    """Beam's FnApiRunner on this machine."""

    workers: int = 0
    """Number of workers; 0 for one per core that this process may use."""
    mode: str = "threads"
    """`threads`, or `processes` for parts whose extractor holds the interpreter's lock."""

    def check(self, folder: Path | None) -> None:
        """It is always there."""

    def pipeline(self, n_tasks: int, folder: Path) -> beam.Pipeline:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.transforms.environments import (
            EmbeddedPythonEnvironment,
            EmbeddedPythonGrpcEnvironment,
            SubprocessSDKEnvironment,
        )

        workers = _workers(self.workers, n_tasks)
        if self.mode == "processes":
            environment = SubprocessSDKEnvironment.from_command_string(watchdog.command(folder))
        elif workers > 1:
            environment = EmbeddedPythonGrpcEnvironment.default()
        else:
            environment = EmbeddedPythonEnvironment.default()
        options = PipelineOptions(["--direct_num_workers", str(workers)])
        return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)

    def for_numpy(self) -> Local:
        return Local(self.workers, "threads")


@dataclass(frozen=True)
class Dask:
    """Beam's DaskRunner, on a scheduler or on a local cluster of processes."""

    scheduler: str | None = None
    """Address of a scheduler, such as tcp://10.0.0.1:8786; None for a local cluster."""
    workers: int = 0
    """Worker processes of a local cluster; 0 for one per core that this process may use."""

    def check(self, folder: Path | None) -> None:
        """Where the scheduler has no worker yet, those that come are not looked at."""
        distributed = _distributed()
        if self.scheduler is None:
            return
        try:
            with warnings.catch_warnings(action="ignore"):
                seen = asyncio.run(_look(distributed, self.scheduler, folder))
        except ImportError as error:
            seen = {"scheduler": error}
        except Exception as error:
            why = str(error) or f"it says nothing that Dask understands within {2 * CONNECT:g} seconds"
            raise AssayError(f"no Dask scheduler answers at {self.scheduler}: {why}") from None
        for who, found in seen.items():
            dask_cluster.refuse(who, found, folder)

    @contextmanager
    def pipeline(self, n_tasks: int, folder: Path) -> Iterator[beam.Pipeline]:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.dask.dask_runner import DaskRunner

        workers = _workers(self.workers, n_tasks)
        cluster = nullcontext(self.scheduler) if self.scheduler else dask_cluster.started(workers, folder)
        with warnings.catch_warnings(action="ignore"), cluster as address:
            # In partitions of one task: else one worker gets a hundred of them.
            options = PipelineOptions([f"--dask_client_address={address}", "--dask_partition_size=1"])
            pipeline = beam.Pipeline(runner=DaskRunner(), options=options)
            yield pipeline
            if (folder / "stop").exists():
                return
            result = pipeline.run()
            try:
                self._wait(result, folder)
            finally:
                result.client.close()

    def for_numpy(self) -> Runner:
        return self if self.scheduler else Local(self.workers)

    def _wait(self, result: Any, folder: Path) -> None:
        """Wait for the end of the stage, or until it cannot come any more. Raises WorkersLost.

        After Ctrl-C tasks end after their batch: they are not waited for longer than that may take.
        """
        distributed = _distributed()
        heard, stop = time.monotonic(), folder / "stop"
        try:
            while not _done(result.futures):
                there, silent = _has_workers(result.client), time.monotonic() - heard
                if stop.exists():
                    if not there or silent > watchdog.GRACE:
                        return
                elif there:
                    heard = time.monotonic()
                elif silent > PATIENCE:
                    why = f"the Dask scheduler has had no worker, or was out of reach, for {PATIENCE:.0f} seconds"
                    raise WorkersLost(why, list(watchdog.begun(folder)))
            result.wait_until_finish()
        except CancelledError:
            raise WorkersLost("the Dask scheduler is gone", list(watchdog.begun(folder))) from None
        except distributed.KilledWorker as error:
            begun = watchdog.begun(folder)
            why = f"each Dask worker that did it died, {error.allowed_failures + 1} in all"
            raise WorkersLost(why, [key for key, n in begun.items() if n == max(begun.values())]) from None


@dataclass(frozen=True)
class Portable:
    """One of Beam's runners for clusters, with its options; not run here."""

    name: str
    """A key of `BEAM_NAMES`."""
    workers: int = 0
    """0 for as many as the cluster gives by itself."""
    options: tuple[str, ...] = ()
    """Beam's own, as KEY=VALUE, or KEY where it is a flag."""

    def check(self, folder: Path | None) -> None:
        """Of the cluster nothing is looked at but whether its port is open. ConfigError for what Beam refuses."""
        said = {key.removeprefix("--"): value for key, _, value in (option.partition("=") for option in self.options)}
        missing = [key for key in NEEDED.get(self.name, ()) if key not in said]
        if missing:
            raise ConfigError(f"--runner {self.name} needs --runner-option {missing[0]}=...")
        if self.name == "dataflow" and folder is not None:
            raise ConfigError("--runner dataflow needs a lake in a bucket, such as --lake gs://BUCKET/lake")
        if self.name in UBER_JAR and "job_endpoint" not in said and not said.keys() >= set(UBER_JAR[self.name]):
            other = " with ".join(UBER_JAR[self.name])
            raise ConfigError(f"--runner {self.name} needs --runner-option job_endpoint=HOST:PORT, or {other}")
        self._refuse_what_beam_refuses()
        for key in [key for key in ENDPOINTS if said.get(key)][:1]:
            if address := HOST_PORT.fullmatch(said[key]):
                _connect(f"--runner-option {key}={said[key]}", address[1] or address[2], int(address[3]))

    @contextmanager
    def pipeline(self, n_tasks: int, folder: Path) -> Iterator[beam.Pipeline]:
        import apache_beam as beam

        with (
            _temporary_files_in(folder),
            beam.Pipeline(runner=BEAM_NAMES[self.name], options=self.beam_options()) as pipeline,
        ):
            yield pipeline

    def for_numpy(self) -> Portable:
        return self

    def beam_options(self) -> PipelineOptions:
        """The options as Beam has them."""
        from apache_beam.options.pipeline_options import PipelineOptions

        workers = [f"{PARALLEL[self.name]}={self.workers}"] if self.workers and self.name in PARALLEL else []
        return PipelineOptions([f"--{option.removeprefix('--')}" for option in (*workers, *self.options)])

    def _refuse_what_beam_refuses(self) -> None:
        from apache_beam.options.pipeline_options import PortableOptions
        from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
        from apache_beam.runners.runner import create_runner
        from apache_beam.transforms.environments import Environment

        usage = io.StringIO()  # argparse prints, and exits
        try:
            with (
                contextlib.redirect_stderr(usage),
                tempfile.TemporaryDirectory() as folder,
                _temporary_files_in(Path(folder)),
            ):
                options = self.beam_options()
                options.get_all_options()
                refused = []
                if self.name != "dataflow":  # there Beam would ask Google, and make a bucket
                    refused = PipelineOptionsValidator(options, create_runner(BEAM_NAMES[self.name])).validate()
                    Environment.from_options(options.view_as(PortableOptions))
        except (SystemExit, ValueError) as error:
            refused = [usage.getvalue().strip().rpartition("error: ")[2] or str(error)]
        if refused:
            raise ConfigError(f"Beam refuses the --runner-option: {refused[0]}")


def _workers(wanted: int, n_tasks: int) -> int:
    return min(n_tasks, wanted or len(os.sched_getaffinity(0)))


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Beam leaves temporary files behind: they go with a folder that is removed."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _connect(what: str, host: str, port: int) -> None:
    """Raise AssayError where nothing listens there: Beam would wait for it for ever."""
    try:
        socket.create_connection((host, port), CONNECT).close()
    except (OSError, OverflowError) as error:
        raise AssayError(f"{what}: nothing answers there ({error})") from None


def _distributed() -> Any:
    """Dask's package for clusters, which from then on says nothing on the terminal: what fails is said once, by us."""
    try:
        import distributed
    except ImportError:
        raise ConfigError("--runner dask needs Dask: pip install 'corpus-assay[dask]'") from None
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


async def _look(distributed: Any, scheduler: str, folder: Path | None) -> dict[str, Any]:
    """What the scheduler and its workers have. Asynchronous, since Dask's own timeouts do not bound all its waits."""
    async with asyncio.timeout(2 * CONNECT):
        client = distributed.Client(scheduler, asynchronous=True, timeout=CONNECT, set_as_default=False)
        try:
            await client
            seen = {"scheduler": await client.run_on_scheduler(dask_cluster.seen, None)}
            found = await client.run(dask_cluster.seen, folder, on_error="return")
            return seen | {f"worker {address}": what for address, what in found.items()}
        finally:
            await client.close(CONNECT)


def _done(futures: Sequence[Any]) -> bool:
    """Wait a moment for Dask's futures; whether all have ended."""
    try:
        _distributed().wait(futures, timeout=LOOK)
    except TimeoutError:
        return False
    return True


def _has_workers(client: Any) -> bool:
    """Whether the scheduler is in reach and has a worker."""
    try:
        return client.status == "running" and bool(client.nthreads())
    except OSError:
        return False
