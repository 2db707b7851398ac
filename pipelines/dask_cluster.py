"""What `Dask` of `pipelines/runners.py` calls: a cluster of this machine, and a look at the workers of another.

The cluster has a process of its own: in the driver, Dask would run the main script again in every worker, and Ctrl-C
would end workers.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def seen(folder: Path | None) -> tuple[dict[str, str], bool]:
    """What a worker has and sees: the versions of all that assay needs, and whether `folder` is there."""
    wanted = importlib.metadata.requires("corpus-assay") or []
    names = {re.match(r"[\w.-]+", want)[0] for want in wanted if "extra" not in want}
    versions = {name: importlib.metadata.version(name) for name in (*names, "corpus-assay", "dask", "distributed")}
    return versions | {"Python": "{}.{}".format(*sys.version_info)}, folder is None or folder.is_dir()


def refuse(who: str, found: Any, folder: Path | None) -> None:
    """Raise AssayError where a worker's part of the check was not as it must be."""
    if isinstance(found, Exception):
        raise AssayError(f"the Dask {who} cannot run assay: {found}; install it there in the versions that are here")
    (theirs, sees), (ours, _) = found, seen(None)
    for name in sorted(ours):
        if theirs.get(name) != ours[name]:
            raise AssayError(
                f"the Dask {who} has {name} {theirs.get(name)} and this machine has {ours[name]}: the same bytes need "
                "the same versions, such as those of constraints.txt"
            )
    if not sees:
        raise AssayError(
            f"the Dask {who} does not see {folder}: a lake that workers elsewhere write must lie in a bucket, or on a "
            "disk that all machines share at the same path"
        )


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
