"""The trainer, as torchrun starts it: the loss falls, a broken run is an unbroken one, ranks do not matter."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from planner.launch import checkpoint, folder, log  # noqa: E402

STEPS, STOP = 12, 5


def train(launch: Path, *arguments: str, ranks: int | None = None) -> subprocess.CompletedProcess[str]:
    """A run by the folder's own script, or without `ranks` as the one process that torchrun would start."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    if ranks:
        command, environment = [launch / "torchrun.sh"], environment | {"NPROC": str(ranks)}
    else:
        command = [sys.executable, "-m", "planner.launch.pretrain", "pretrain.toml"]
        environment |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}
        environment |= {"MASTER_PORT": "0"}
    return subprocess.run(
        [*command, *arguments], check=False, cwd=launch, env=environment, capture_output=True, text=True
    )


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in logged(out)]


@pytest.fixture(scope="module")
def launch(tmp_path_factory, hands) -> Path:
    """A launch folder of a tiny model. Its micro batches are of 3 rows, so that a rank's 8 or 4 rows leave a rest."""
    where = tmp_path_factory.mktemp("launch")
    plan = hands.make_plan(hands.make_lake(where / "lake"), hands.SHARES, steps=STEPS)
    folder.write(plan, plan.model_dump_json().encode(), where / "launch", say=print)
    toml = where / "launch" / "pretrain.toml"
    toml.write_text(toml.read_text().replace("micro_batch = 8", "micro_batch = 3").replace("every = 2", "every = 100"))
    return where / "launch"


@pytest.fixture(scope="module")
def unbroken(launch) -> subprocess.CompletedProcess[str]:
    """The whole run on one rank, in `runs`."""
    ended = train(launch, ranks=1)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def stopped(launch) -> Path:
    """The same run, stopped on one rank."""
    ended = train(launch, "--stop-after", str(STOP), "--out", "stopped")
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in (launch / "stopped").iterdir()) == [".lock", "log.jsonl", f"step-{STOP}"]
    return launch / "stopped"


def test_the_loss_falls_and_the_schedule_is_the_plans(launch, unbroken, hands):
    lines = logged(launch / "runs")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    assert lines[1]["rate"] == max(line["rate"] for line in lines) == 2e-2
    assert lines[-1]["rate"] == 2e-3
    assert lines[-1]["tokens"] == STEPS * 8 * 16
    assert lines[-1]["rows"] == {"ones": 48, "twos": 29, "fives": 19}
    assert (launch / "runs" / f"step-{STEPS}").is_dir()
    assert f"step {STEPS}/{STEPS}" in unbroken.stdout
    said = " ".join(unbroken.stdout.split())
    assert "768 of 769 planned tokens, 0.899 epochs twos" in said
    assert "304 of 307 planned tokens, 1.689 epochs: it repeated loss" in said
    assert unbroken.stdout.endswith(f"loss {lines[0]['loss']:.4f} at step 1, {lines[-1]['loss']:.4f} at step {STEPS}\n")


def test_a_run_that_is_stopped_and_goes_on_is_the_unbroken_run(launch, unbroken, stopped):
    out = Path(shutil.copytree(stopped, launch / "resumed"))
    with (out / "log.jsonl").open("a") as file:  # a step after the checkpoint that a crash left behind
        file.write(json.dumps({"step": STOP + 1, "loss": 99.0}) + "\n")
    ended = train(launch, "--out", "resumed")
    assert ended.returncode == 0, ended.stderr
    assert f"on from step {STOP}" in ended.stdout
    assert losses(out) == pytest.approx(losses(launch / "runs"), rel=1e-6)
    strip = [{name: line[name] for name in ("step", "rate", "tokens", "rows")} for line in logged(launch / "runs")]
    assert [{name: line[name] for name in strip[0]} for line in logged(out)] == strip


def test_two_ranks_are_as_good_as_one_and_one_goes_on_from_their_checkpoint(launch, unbroken):
    ended = train(launch, "--stop-after", str(STOP), "--out", "two", ranks=2)
    assert ended.returncode == 0, ended.stderr
    assert "2 cpu ranks" in ended.stdout
    assert ended.stdout.count(f"step {STOP}/{STEPS}") == 1
    assert losses(launch / "two") == pytest.approx(losses(launch / "runs")[:STOP], rel=1e-4)
    ended = train(launch, "--out", "two")
    assert ended.returncode == 0, ended.stderr
    assert losses(launch / "two") == pytest.approx(losses(launch / "runs"), rel=1e-4)
    assert [line["rows"] for line in logged(launch / "two")] == [line["rows"] for line in logged(launch / "runs")]


def refused(launch: Path, sentence: str, *arguments: str, ranks: int | None = None) -> None:
    ended = train(launch, *arguments, ranks=ranks)
    assert ended.returncode == 1
    said = [line for line in ended.stderr.splitlines() if line.startswith("assay: ")]
    assert len(said) == 1
    assert sentence in said[0]


def test_a_second_run_in_one_folder_is_refused_on_all_ranks(launch):
    with checkpoint._lock(launch / "busy"):
        who = f"is being trained into by process {os.getpid()} on {socket.gethostname()}: wait"
        refused(launch, who, "--out", "busy", ranks=2)
        assert [path.name for path in (launch / "busy").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H200", 989), ("Radeon", None)],
)
def test_the_peak_is_that_of_the_gpu(monkeypatch, name, tflops):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert log.peak(torch.device("cuda")) == (tflops and tflops * 1e12)
    assert log.peak(torch.device("cpu")) is None
