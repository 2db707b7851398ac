"""Runs killed at random moments of all stages and started again at once end with the lake of a run never killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

KILLS = int(os.environ.get("ASSAY_TEST_KILLS", "20"))  # of threads and of processes; a run of processes takes long
STAGES = ("ingest", "keys", "edges", "findings", "ledger")  # those of a chain; between them is publishing
SEED = int(os.environ.get("ASSAY_TEST_SEED", "5"))


@pytest.fixture(scope="module")
def runs(serve_runs: Callable) -> Iterator:
    with serve_runs() as served:
        yield served


def write(project, runner: str) -> None:
    """Two corpora that share documents; one for processes, whose start takes seconds in each stage."""
    for corpus, first, n in (("news", 0, 6), ("c4", 4, 4))[: 1 + (runner == "threads")]:
        for i in range(first, first + n):
            project.write(corpus, f"{i}.jsonl.gz", [project.prose(20 * i + j) for j in range(30)])


def spools(project) -> set[Path]:
    """What the chains of runs, under way or killed, have left of theirs."""
    return set(project.folder.glob("lake/*/.tmp/*/run-*"))


def stage_of(project, before: set[Path]) -> str:
    """The stage that was under way when the run was killed."""
    return next((spool.name.removeprefix("run-") for spool in spools(project) - before), "between")


def wait_for(project, stage: str, before: set[Path], pid: int) -> None:
    """Wait until a run is in a stage, or has ended without."""
    with contextlib.suppress(ProcessLookupError):
        while not any(spool.name == f"run-{stage}" for spool in spools(project) - before):
            os.kill(pid, 0)
            time.sleep(0.001)


@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_killed_at_any_moment_and_started_again(runs, new_project: Callable, runner: str) -> None:
    wanted = KILLS * 7 // 10 if runner == "threads" else KILLS - KILLS * 7 // 10
    moment, kills, stages = random.Random(f"{SEED} {runner}"), 0, Counter()
    for _ in range(2 if runner == "threads" else 1):  # the first compiles kernels that the others find
        write(whole := new_project(), runner)
        began = time.monotonic()
        runs.start(whole, runner)
        assert runs.end() == 0
    lasts = time.monotonic() - began
    expected = whole.contents()
    while kills < wanted:
        write(project := new_project(), runner)
        ended = False
        while not ended:
            before, pid = spools(project), runs.start(project, runner)
            if kills < wanted:
                if moment.random() < 0.5:  # most of a run is its start: else short stages would never be hit
                    wait_for(project, STAGES[kills % len(STAGES)], before, pid)
                    time.sleep(moment.uniform(0, 0.1))
                else:
                    time.sleep(moment.uniform(0, lasts))
                alone = moment.random() < 0.5  # then its workers must notice
                with contextlib.suppress(ProcessLookupError):  # it has ended already
                    (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
            code = runs.end()
            ended = code == 0
            if not ended:
                assert code == -signal.SIGKILL
                kills += 1
                stages[stage_of(project, before)] += 1
        assert project.contents() == expected
    while not runs.all_gone():
        time.sleep(0.05)
    print(f"{kills} runs killed, {runner}: {dict(stages)}")
