"""The reference trainer: a plan's model on a plan's data, on CUDA or on CPUs by the same command.

torchrun ... -m planner.launch.pretrain pretrain.toml [--stop-after STEP] [--out FOLDER]

FSDP2 over all ranks, AdamW, checkpoints that resume on another number of ranks. It is short so that it can be read;
it has no activation checkpointing, tensor or pipeline parallelism.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.nn.functional as F
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from corpora.errors import AssayError, ConfigError
from planner.hardware import find
from planner.launch import settings as launch
from planner.launch.loader import Batch, Loader
from planner.launch.model import Decoder
from planner.launch.settings import Settings, Source

FLOPS_PER_PARAMETER = 6  # and token, forward and backward: Kaplan et al. 2020, arXiv:2001.08361, section 2.1
CHECKPOINT = "checkpoint.json"


@dataclass
class Training:
    """All that a step needs."""

    settings: Settings
    sources: Sequence[Source]
    loader: Loader
    model: Decoder
    optimizer: torch.optim.Optimizer
    device: torch.device
    out: Path
    rank: int
    world: int


@record
def main() -> None:
    """Train, as one of the ranks that torchrun starts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", type=Path, metavar="pretrain.toml")
    parser.add_argument("--stop-after", type=int, metavar="STEP", help="end there, with a checkpoint to go on from")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER", help="checkpoints and log")
    arguments = parser.parse_args()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        training = prepare(launch.read(arguments.settings), arguments.out, device)
        train(training, arguments.stop_after)
    except AssayError as error:
        if dist.get_rank():  # mostly all ranks fail alike: rank 0 says it, and torchrun ends the others meanwhile
            time.sleep(3)
        print(f"assay: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    dist.barrier()
    dist.destroy_process_group()


def prepare(settings: Settings, out: Path, device: torch.device) -> Training:
    """Model, optimizer and loader of this rank. Raises AssayError where the launch cannot be run as it is."""
    sources = launch.sources(settings)
    launch.verify(settings, sources)
    rank, world = dist.get_rank(), dist.get_world_size()
    loader = Loader(settings, sources, rank, world)
    with torch.device("meta"):
        model = Decoder(settings.model)
    cuda = device.type == "cuda"
    # Rotary angles and norms choose their own precision, so inputs are not cast.
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    options = {"mp_policy": policy} if cuda else {}
    for block in model.blocks:
        fully_shard(block, **options)
    fully_shard(model, **options)
    model.to_empty(device=device)
    model.initialise(settings.run.seed)
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    norms = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings.optimizer.weight_decay}, {"params": norms, "weight_decay": 0.0}],
        betas=(settings.optimizer.beta1, settings.optimizer.beta2),
        fused=cuda,
    )
    return Training(settings, sources, loader, model, optimizer, device, out, rank, world)


def train(training: Training, stop_after: int | None = None) -> None:
    """From the newest checkpoint, or the beginning, to the last step of the plan or to `stop_after`."""
    settings = training.settings
    begin = resume(training)
    end = settings.schedule.steps if stop_after is None else min(settings.schedule.steps, stop_after)
    log = Log(training, begin)
    for step, batch in enumerate(training.loader.batches(begin), begin + 1):
        if step > end:
            break
        started = time.perf_counter()
        figures = optimize(training, step, batch)
        log.write(step, figures, batch, time.perf_counter() - started)
        if step == end or step % settings.run.checkpoint_every == 0:
            save(training, step)
    log.summary()


def optimize(training: Training, step: int, batch: Batch) -> dict[str, float]:
    """One optimizer step: the mean loss of the global batch, the norm of its gradient, and the rate.

    Raises AssayError, on all ranks and before the weights change, where the loss is not finite.
    """
    settings, schedule = training.settings, training.settings.schedule
    ids = torch.from_numpy(batch.ids).to(training.device, torch.int64)
    tokens = schedule.batch * settings.data.sequence
    total = torch.zeros((), device=training.device)
    for rows in ids.split(settings.run.micro_batch):
        logits = training.model(rows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten(), reduction="sum") / tokens
        (loss * training.world).backward()  # gradients are averaged over ranks
        total += loss.detach()
    dist.all_reduce(total)
    if not math.isfinite(total):
        raise AssayError(
            f"the loss is {total.item()} at step {step}: lower peak_rate in pretrain.toml and go on from the newest "
            f"checkpoint in {training.out}"
        )
    norm = torch.nn.utils.clip_grad_norm_(training.model.parameters(), settings.optimizer.clip).full_tensor()
    rate = schedule.rate(step)
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    training.optimizer.step()
    training.optimizer.zero_grad()
    return {"loss": total.item(), "rate": rate, "gradient_norm": norm.item()}


def save(training: Training, step: int) -> None:
    """Write a checkpoint aside, whole, and rename it to `step-N`. All ranks call this."""
    aside, final = training.out / f".step-{step}", training.out / f"step-{step}"
    if training.rank == 0:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    dist.barrier()
    model, optimizer = get_state_dict(training.model, training.optimizer)
    dcp.save({"model": model, "optimizer": optimizer}, checkpoint_id=aside)
    if training.rank == 0:
        content = {"step": step, "run": launch.identity(training.settings, training.sources)}
        (aside / CHECKPOINT).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
    dist.barrier()


def resume(training: Training) -> int:
    """Load the newest checkpoint, made on any number of ranks; its step, or 0 where there is none.

    Raises AssayError for a checkpoint of another plan, model or order of data.
    """
    found = {int(path.name[5:]): path for path in training.out.glob("step-*") if path.name[5:].isdecimal()}
    if not found:
        return 0
    path = found[max(found)]
    saved = json.loads((path / CHECKPOINT).read_text("utf-8"))
    now = launch.identity(training.settings, training.sources)
    if changed := [name for name in now if saved["run"].get(name) != now[name]]:
        raise AssayError(
            f"the checkpoint {path} is of another run, with another {' and '.join(changed)}: train this one with "
            "--out ANOTHER_FOLDER"
        )
    model, optimizer = get_state_dict(training.model, training.optimizer)
    state: dict[str, Any] = {"model": model, "optimizer": optimizer}
    dcp.load(state, checkpoint_id=path)
    set_state_dict(
        training.model, training.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
    )
    return saved["step"]


class Log:
    """A line per step, on the terminal and in `log.jsonl`, by rank 0."""

    def __init__(self, training: Training, begin: int) -> None:
        self.training, self.path = training, training.out / "log.jsonl"
        self.tokens = training.settings.schedule.batch * training.settings.data.sequence
        self.peak = peak(training.device)
        if training.rank == 0:
            training.out.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
            kept = [line for line in lines if json.loads(line)["step"] <= begin]  # later steps are done again
            self.path.write_text("".join(f"{line}\n" for line in kept), "utf-8")
            self._say(
                f"{training.settings.plan.name}: {training.settings.model.params:,} parameters, {training.world} "
                f"{training.device.type} ranks, " + (f"on from step {begin}" if begin else "from the beginning")
            )

    def write(self, step: int, figures: dict[str, float], batch: Batch, seconds: float) -> None:
        """Note a step that took `seconds`."""
        if self.training.rank:
            return
        speed = self.tokens / seconds
        line = {"step": step} | figures | {"tokens": step * self.tokens, "tokens_per_second": speed}
        if self.peak:
            flops = FLOPS_PER_PARAMETER * self.training.settings.model.params * speed
            line["mfu"] = flops / (self.peak * self.training.world)
        self._say(
            f"step {step}/{self.training.settings.schedule.steps}  loss {figures['loss']:.4f}  rate "
            f"{figures['rate']:.3g}  {step * self.tokens:,} tokens  {speed:,.0f} tokens/s"
            + (f"  MFU {line['mfu']:.1%}" if self.peak else "")
        )
        line["rows"] = dict(zip(self.training.loader.sources, batch.consumed.tolist()))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def summary(self) -> None:
        """Say what was consumed of each source, and how the loss went."""
        if self.training.rank:
            return
        lines = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
        if not lines:
            return
        width = max(len(source.source) for source in self.training.sources)
        for source in self.training.sources:
            consumed = lines[-1]["rows"][source.source] * self.training.settings.data.sequence
            self._say(
                f"{source.source:{width}}  {consumed:>15,} of {source.tokens:,} planned tokens, "
                f"{consumed / max(source.available, 1):.3f} epochs"
            )
        first, last = lines[0], lines[-1]
        self._say(f"loss {first['loss']:.4f} at step {first['step']}, {last['loss']:.4f} at step {last['step']}")

    def _say(self, text: str) -> None:
        print(text, flush=True)


def peak(device: torch.device) -> float | None:
    """Dense FLOP/s of the GPU, where `planner/facts/gpus.csv` knows it: NVIDIA H100 80GB HBM3 is H100-SXM-80GB."""
    if device.type != "cuda":
        return None
    name = re.sub(r"NVIDIA |HBM\w*|(?<=SXM)\d", "", torch.cuda.get_device_name(device))
    try:
        return find(name).peak
    except ConfigError:
        return None


if __name__ == "__main__":
    main()
