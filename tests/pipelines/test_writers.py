"""One writer per room: a second one is told who the first is, writers of other corpora go on, and both end well."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.reconcile import reconcile

ASSAY = Path(sys.executable).parent / "assay"


@pytest.fixture
def project(project, monkeypatch: pytest.MonkeyPatch):
    """A lake of two corpora, one of which has a new file."""
    monkeypatch.chdir(project.folder)
    for corpus, first in (("news", 0), ("c4", 2)):
        project.write(corpus, "a.jsonl", [project.prose(i) for i in range(first, first + 4)])
        project.ingest(corpus)
    project.tokenize()
    project.write("news", "b.jsonl", [project.prose(i) for i in range(4, 9)])
    return project


def start(*arguments: str | Path) -> subprocess.Popen:
    return subprocess.Popen(
        [ASSAY, *arguments, "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def refused(done: subprocess.CompletedProcess, holder: str) -> bool:
    said = done.stderr.splitlines()[-1]
    return done.returncode == 1 and done.stdout == "" and said.startswith(f"assay: {holder} on {socket.gethostname()}")


def test_a_second_writer_is_told_who_the_first_is_and_others_go_on(project, command: Callable) -> None:
    first = start("ingest", "news", "--lake", "lake")
    try:
        while not list(project.folder.glob("lake/news/.tmp/*")):
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # in the middle
        holder = f"news is being written by ingest, process {first.pid}"
        for verb in ("ingest news", "tokenize news", "gc --yes"):
            assert refused(command(*verb.split(), "--lake", "lake"), holder)
        assert command("gc", "--lake", "lake").returncode == 0
        project.write("c4", "b.jsonl", [project.prose(i) for i in range(3, 7)])
        assert command("ingest", "c4", "--lake", "lake").returncode == 0
        assert command("status", "--lake", "lake").returncode == 0
    finally:
        first.send_signal(signal.SIGCONT)
        _, said = first.communicate()
    assert first.returncode == 0, said
    assert {len(project.lake.room(name).manifest("ingest")["tasks"]) for name in ("news", "c4")} == {2}
    for room, verb in (("duplicates", ["deduplicate"]), ("news", ["compact", "news"])):
        with project.lake.room(room).lock("a test"):
            holder = f"{room} is being written by a test, process {os.getpid()}"
            assert refused(command(*verb, "--lake", "lake"), holder)
    project.tokenize()
    assert all(check.holds for check in reconcile(project.lake))


def test_two_runs_started_at_once_leave_nothing_undone(project, command: Callable) -> None:
    arguments = ("tokenize", "--all", "--tokenizer", project.tokenizer, "--lake", "lake")
    runs = [start(*arguments) for _ in range(2)]
    ended = [(run.communicate()[1], run.returncode) for run in runs]
    assert any(code == 0 for _, code in ended), ended
    for said, code in ended:
        assert "Traceback" not in said
        assert code == 0 or said.splitlines()[-1].startswith("assay: "), said
    again = command(*arguments)
    assert again.returncode == 0
    assert {line.rpartition(": ")[2] for line in again.stderr.splitlines()} == {"up to date."}
    assert all(check.holds for check in reconcile(project.lake))
    assert not list(project.folder.glob("lake/**/.tmp"))
