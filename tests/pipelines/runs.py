"""A process that starts runs on demand, each in a process group of its own that a test may kill at any moment.

It has imported what a run needs and runs nothing itself, so that a fork of it is at work at once. Lines in: how to
run and where. Lines out: the process number when a run starts, and how it ended when it has.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import apache_beam.runners.portability.fn_api_runner  # noqa: F401
from conftest import Project

import pipelines.quality.signals  # noqa: F401
from pipelines.quality import profile
from planner import ledger

HANGS = 300  # seconds after which a run says where it stands, and ends


def run(project: Project, runner: str) -> None:
    """All stages of all corpora, and the catalog: what `assay tokenize --all` does."""
    for corpus in sorted(path.name for path in (project.folder / "data/raw").iterdir()):
        project.ingest(corpus, part_bytes=1, workers=2, runner=runner)
    project.tokenize(workers=2, runner=runner)
    profiles = {name: wanted.fingerprint for name, wanted in profile.of_lake(project.lake).items()}
    if not project.bucket:
        ledger.refresh(project.lake, profiles)


def main() -> None:
    """Serve runs, one at a time."""
    os.environ["PYTHONSAFEPATH"] = "1"
    for line in sys.stdin:
        runner, tokenizer, folder, bucket = line.rstrip("\n").split("\t")
        pid = os.fork()
        if not pid:
            os.setpgid(0, 0)
            faulthandler.dump_traceback_later(HANGS, exit=True)
            try:
                run(Project(Path(folder), Path(tokenizer), bucket=bucket), runner)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # here too: the test may kill the group before its process has run a line
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
