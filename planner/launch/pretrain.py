"""The reference trainer: a plan's model on a plan's data, on CUDA or on CPUs by the same command.

torchrun ... -m planner.launch.pretrain pretrain.toml [--stop-after STEP] [--out FOLDER]

FSDP2 over all ranks, AdamW, checkpoints that resume on another number of ranks. It is short so that it can be read;
it has no activation checkpointing, tensor or pipeline parallelism.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from corpora.errors import AssayError
from planner.launch import checkpoint
from planner.launch import settings as launch
from planner.launch.loader import Batch, Loader
from planner.launch.log import Log
from planner.launch.model import Decoder
from planner.launch.ranks import first
from planner.launch.settings import Settings, Source

# The others wait while rank 0 lists the parts in the lake and ends a checkpoint, and for ranks that a busy shared disk
# serves late; NCCL's own 10 minutes are short for that at 1,000 ranks.
TIMEOUT = timedelta(minutes=30)


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
        dist.init_process_group("nccl", device_id=device, timeout=TIMEOUT)
    else:
        dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        with checkpoint.held(arguments.out):
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
    first(lambda: launch.verify(settings, sources))
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
    settings, run = training.settings, training.settings.run
    identity = launch.identity(settings, training.sources)
    begin = checkpoint.load(training.out, identity, training.model, training.optimizer)
    end = settings.schedule.steps if stop_after is None else min(settings.schedule.steps, stop_after)
    log = None
    if training.rank == 0:
        log = Log(training.out, settings, training.sources, training.device, training.world, begin)
    before = time.perf_counter()
    batches = islice(training.loader.batches(begin), max(0, end - begin))
    for step, batch in enumerate(batches, begin + 1):
        figures = optimize(training, step, batch)
        # From the end of a step to that of the next: waiting for data and for checkpoints is part of the speed.
        now = time.perf_counter()
        if log:
            log.write(step, figures, batch.consumed.tolist(), now - before)
        before = now
        if step == end or step % run.checkpoint_every == 0:
            checkpoint.save(training.out, step, identity, run.keep, training.model, training.optimizer)
    if log:
        log.summary()


def optimize(training: Training, step: int, batch: Batch) -> dict[str, float]:
    """One optimizer step: the mean loss of the global batch, the norm of its gradient, and the rate.

    Raises AssayError, before any weight changes, where loss or norm is not finite.
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
    norm = torch.nn.utils.clip_grad_norm_(training.model.parameters(), settings.optimizer.clip).full_tensor()
    figures = {"loss": total.item(), "rate": schedule.rate(step), "gradient_norm": norm.item()}
    if not (math.isfinite(figures["loss"]) and math.isfinite(figures["gradient_norm"])):
        raise AssayError(_diverged(training.out, step, figures))
    for group in training.optimizer.param_groups:
        group["lr"] = figures["rate"]
    training.optimizer.step()
    training.optimizer.zero_grad()
    return figures


def _diverged(out: Path, step: int, figures: dict[str, float]) -> str:
    newest = next(reversed(checkpoint.checkpoints(out)), None)
    back = (
        f", delete the newest checkpoints (step-{newest} is the last) in {out.absolute()} back to where the loss in "
        "log.jsonl was good,"
        if newest
        else ""
    )
    return (
        f"at step {step} the loss is {figures['loss']:.4g} and the norm of its gradient "
        f"{figures['gradient_norm']:.4g}: lower peak_rate in pretrain.toml{back} and run again"
    )


if __name__ == "__main__":
    main()
