"""Runs killed at random moments of all stages and started again at once end with the lake of a run never killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

KILLS = int(os.environ.get("ASSAY_TEST_KILLS", "4"))  # of threads and of processes; a run of processes takes long
SEED = int(os.environ.get("ASSAY_TEST_SEED", "5"))
CATALOG = ("catalog.duckdb", ".catalog.lock")  # a cache, with absolute paths


@pytest.fixture(scope="module")
def runs(serve_runs: Callable) -> Iterator:
    with serve_runs() as served:
        yield served


def write(project, mode: str) -> None:
    """Two corpora that share documents; one for processes, whose start takes seconds in each stage."""
    for corpus, first, n in (("news", 0, 6), ("c4", 4, 4))[: 1 + (mode == "threads")]:
        for i in range(first, first + n):
            project.write(corpus, f"{i}.jsonl.gz", [project.prose(20 * i + j) for j in range(30)])


def contents(project) -> dict[str, bytes]:
    return {name: data for name, data in project.published().items() if name not in CATALOG}


def stage_of(project) -> str:
    """The stage that was under way when the run was killed."""
    spools = sorted(project.folder.glob("lake/*/.tmp/*/run-*"))
    return spools[-1].name.removeprefix("run-") if spools else "between"


@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_killed_at_any_moment_and_started_again(runs, new_project: Callable, mode: str) -> None:
    wanted = KILLS * 7 // 10 if mode == "threads" else KILLS - KILLS * 7 // 10
    moment, kills, stages = random.Random(f"{SEED} {mode}"), 0, Counter()
    for _ in range(2 if mode == "threads" else 1):  # the first compiles kernels that the others find
        write(whole := new_project(), mode)
        began = time.monotonic()
        runs.start(whole, mode)
        assert runs.end() == 0
    lasts = time.monotonic() - began
    expected = contents(whole)
    while kills < wanted:
        write(project := new_project(), mode)
        ended = False
        while not ended:
            pid = runs.start(project, mode)
            if kills < wanted:
                time.sleep(moment.uniform(0, lasts))
                alone = moment.random() < 0.5  # then its workers must notice
                with contextlib.suppress(ProcessLookupError):  # it has ended already
                    (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
            code = runs.end()
            ended = code == 0
            if not ended:
                assert code == -signal.SIGKILL
                kills += 1
                stages[stage_of(project)] += 1
        assert contents(project) == expected
    while not runs.all_gone():
        time.sleep(0.05)
    print(f"{kills} runs killed, {mode}: {dict(stages)}")
