"""Checkpoints and log of a run, in this process: whole or not there, with the settings of pretrain.toml."""

from __future__ import annotations

import errno
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402

from corpora.errors import AssayError  # noqa: E402
from planner.launch import checkpoint, folder, log, pretrain  # noqa: E402
from planner.launch import settings as launched  # noqa: E402

STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def one_rank(tmp_path_factory):
    torch.set_num_threads(1)  # other tests run beside
    store = dist.FileStore(str(tmp_path_factory.mktemp("store") / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def settings(tmp_path_factory, hands) -> launched.Settings:
    """Of a tiny launch with a checkpoint at every second step."""
    where = tmp_path_factory.mktemp("launch")
    plan = hands.make_plan(hands.make_lake(where / "lake"), hands.SHARES, steps=STEPS)
    folder.write(plan, plan.model_dump_json().encode(), where / "launch", say=print)
    read = launched.read(where / "launch" / "pretrain.toml")
    return changed(read, "run", checkpoint_every=2, keep=9)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "runs"


def changed(settings, table, **values):
    return replace(settings, **{table: replace(getattr(settings, table), **values)})


def train(settings, out, stop_after=None) -> pretrain.Training:
    with checkpoint.held(out):
        training = pretrain.prepare(settings, out, torch.device("cpu"))
        pretrain.train(training, stop_after)
    return training


def steps(out) -> list[int]:
    return list(checkpoint.checkpoints(out))


def losses(out) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in log.lines(out / "log.jsonl")}


def test_the_optimizer_is_that_of_pretrain_toml_after_going_on(settings, out):
    train(settings, out, 2)
    edited = changed(settings, "optimizer", weight_decay=0.05, beta1=0.8, beta2=0.9)
    optimizer = train(edited, out).optimizer
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
    assert [group["betas"] for group in optimizer.param_groups] == [(0.8, 0.9)] * 2
    assert {float(state["step"]) for state in optimizer.state.values()} == {STEPS}


def test_a_run_that_diverged_goes_on_as_its_sentence_says(settings, out):
    train(settings, out, 4)
    good = losses(out)
    wild = changed(changed(settings, "schedule", peak_rate=1e30), "run", checkpoint_every=1)
    with pytest.raises(AssayError) as refused:
        train(wild, out)
    found = re.search(
        r"at step (\d+) the loss is .*: lower peak_rate .* \(step-(\d+) is the last\)", str(refused.value)
    )
    assert found
    step, newest = int(found[1]), int(found[2])
    assert (step, steps(out)) == (newest + 1, [2, *range(4, newest + 1)])
    with pytest.raises(AssayError, match=f"at step {step} the loss"):  # the weights are broken already
        train(settings, out)
    for each in range(5, newest + 1):
        shutil.rmtree(out / f"step-{each}")
    train(settings, out)
    assert losses(out).keys() == set(range(1, STEPS + 1))
    assert {step: losses(out)[step] for step in good} == good
    unbroken = out.with_name("unbroken")
    train(settings, unbroken)
    assert losses(out) == pytest.approx(losses(unbroken), rel=1e-5)


def test_a_gradient_that_is_not_finite_changes_no_weight(settings, out):
    training = pretrain.prepare(settings, out, torch.device("cpu"))
    before = [weight.full_tensor().clone() for weight in training.model.parameters()]
    batch = next(training.loader.batches())
    weight = training.model.embedding.weight
    handle = weight.register_post_accumulate_grad_hook(lambda weight: weight.grad.fill_(torch.inf))
    with pytest.raises(AssayError, match=r"at step 1 .* its gradient (inf|nan): lower peak_rate .*toml and run again"):
        pretrain.optimize(training, 1, batch)
    handle.remove()
    for weight, was in zip(training.model.parameters(), before):
        assert torch.equal(weight.full_tensor(), was)


def test_older_checkpoints_are_deleted(settings, out):
    train(changed(settings, "run", keep=2), out)
    assert steps(out) == [6, 8]
    assert sorted(path.name for path in out.iterdir()) == [".lock", "log.jsonl", "step-6", "step-8"]


def test_a_checkpoint_that_cannot_be_written_is_one_sentence_and_leaves_nothing(settings, out, monkeypatch):
    train(settings, out, 2)
    write = torch.save

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(AssayError) as refused:
        train(settings, out)
    monkeypatch.setattr(torch, "save", write)
    assert str(refused.value).startswith(f"the checkpoint of step 4 cannot be written to {out} (")
    assert "No space left on device" in str(refused.value)
    assert str(refused.value).endswith("make room there and run again, it goes on from step 2")
    assert sorted(path.name for path in out.iterdir()) == [".lock", "log.jsonl", "step-2"]
    train(settings, out)
    assert steps(out) == [2, 4, 6, 8]


def test_what_a_killed_run_left_is_no_checkpoint(settings, out):
    train(settings, out, 4)
    (out / "step-4" / checkpoint.CHECKPOINT).unlink()
    shutil.copytree(out / "step-2", out / ".step-6")
    assert steps(out) == [2]
    train(settings, out, 6)
    assert steps(out) == [2, 4, 6]
    assert not list(out.glob(".step-*"))


def test_a_checkpoint_of_another_plan_is_refused(settings, out):
    train(settings, out, 2)
    path, before = out / "step-2" / checkpoint.CHECKPOINT, losses(out)
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"run": saved["run"] | {"plan": "0" * 64}}))
    with pytest.raises(AssayError, match="is of another run, with another plan: train this one with --out ANOTHER"):
        train(settings, out)
    assert losses(out) == before  # nothing was lost


@pytest.mark.parametrize("damaged", ["{", "[]", "{}", '{"run": 1}'])
def test_a_damaged_checkpoint_is_named(settings, out, damaged):
    train(settings, out, 2)
    (out / "step-2" / checkpoint.CHECKPOINT).write_text(damaged)
    with pytest.raises(AssayError, match=r"the checkpoint .*step-2 cannot be read .*: delete it to go on from"):
        train(settings, out)


def test_a_checkpoint_without_its_weights_is_named(settings, out):
    train(settings, out, 2)
    for path in (out / "step-2").glob("*.distcp"):
        path.unlink()
    with pytest.raises(AssayError, match=r"the checkpoint .*step-2 cannot be read .*: delete it to go on from"):
        train(settings, out)


def test_a_last_line_of_the_log_that_a_crash_tore_is_dropped(settings, out):
    train(settings, out, 2)
    whole = (out / "log.jsonl").read_bytes()
    (out / "log.jsonl").write_bytes(whole + b'{"step": 3, "lo')
    train(settings, out, 4)
    assert (out / "log.jsonl").read_bytes().startswith(whole)
    assert list(losses(out)) == [1, 2, 3, 4]


def test_a_line_in_the_middle_of_the_log_is_not_dropped(settings, out):
    train(settings, out, 2)
    whole = (out / "log.jsonl").read_text()
    (out / "log.jsonl").write_text("torn" + whole)
    with pytest.raises(AssayError, match=r"log.jsonl is damaged in line 1"):
        train(settings, out)
    assert (out / "log.jsonl").read_text() == "torn" + whole


def test_one_run_at_a_time(out):
    busy = pytest.raises(AssayError, match=r"is being trained into by process \d+ on")
    with checkpoint.held(out), busy, checkpoint.held(out):
        pass
    with checkpoint.held(out):
        pass


def test_the_speed_counts_waiting(settings, out, monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(pretrain.time, "perf_counter", lambda: next(clock))
    train(settings, out, 3)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["tokens_per_second"] for line in lines] == [8 * 16 / 2] * 3  # one reading of the clock a step
