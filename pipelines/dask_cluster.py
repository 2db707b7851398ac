"""A Dask cluster of this machine in a process of its own, as a driver starts it: `Dask` of `pipelines/runners.py`.

In the driver's process Dask would run the driver's main script once more in every worker, and Ctrl-C would end workers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from corpora.errors import AssayError
from pipelines import watchdog

LOG = "dask.log"


@contextlib.contextmanager
def started(workers: int, folder: Path) -> Iterator[str]:
    """The address of a cluster of so many worker processes, which write to `folder` alone and end with this process.

    Raises AssayError where it does not start.
    """
    command = [sys.executable, "-P", "-m", "pipelines.dask_cluster", str(os.getpid()), str(workers), str(folder)]
    with (
        (folder / LOG).open("w+") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as cluster,
    ):
        try:
            address = cluster.stdout.readline().strip()
            if not address:
                said = (folder / LOG).read_text("utf-8", "replace").strip().splitlines()
                raise AssayError(f"no Dask cluster could be started: {said[-1] if said else 'it said nothing'}")
            yield address
        finally:
            cluster.stdin.close()  # the word to end
            try:
                cluster.wait(watchdog.GRACE)
            except subprocess.TimeoutExpired:
                cluster.kill()


def main() -> None:
    """Run a cluster until the driver closes this process's input, or is gone. Ctrl-C is left to the driver."""
    driver, workers, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # worker processes inherit it
    watchdog.end_with(driver)

    import dask
    from distributed import LocalCluster

    with (
        dask.config.set(temporary_directory=folder),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # nothing is spilled, and no worker is ended for what it uses
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            silence_logs=logging.WARNING,
        ) as cluster,
    ):
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
