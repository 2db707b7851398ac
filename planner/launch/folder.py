"""Writes the launch folder: a plan, the data that it counted, and what starts the trainer on both.

Nothing is trained on but what was planned: data.json lists the token parts of the manifests that the plan counted, and
a pin in the lake keeps them from deletion.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from corpora.config import build
from corpora.errors import AssayError, ConfigError
from corpora.lake import PINS, Lake
from corpora.part import Part
from planner.files import put
from planner.launch import settings as launch
from planner.launch.settings import Source
from planner.schema import Plan
from tokenizer import identity

ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")
MICRO_BATCH_TOKENS = 8_192  # of one forward pass of one rank
CHECKPOINT_STEPS = 1_000  # as Pythia: Biderman et al. 2023, arXiv:2304.01373
NODE_GPUS = 8
SEED = 0


def write(
    plan: Plan,
    plan_json: bytes,
    folder: Path,
    *,
    end_of_document: str | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the launch folder of a plan; other files there stay. Returns a summary of what was written.

    `plan_json`: the bytes of `plan.json`, whose sha256 names the plan from here on. `end_of_document`: the token that
    ends documents, where the tokenizer has none of the usual ones. `say` is told what a person should know. Raises
    AssayError, in one sentence, where what was planned is not in the lake any more.
    """
    supply = plan.supply
    if not supply.lake:
        raise AssayError(
            f"this plan was made from a table ({supply.origin}): it has no data to train on; tokenize the corpora and "
            "plan again with --lake"
        )
    lake = Lake(supply.origin)
    if not lake.fs.isdir(lake.root):
        raise AssayError(f"the lake {lake.url} that this plan counted is gone: plan again with --lake")
    digest = sha256(plan_json).hexdigest()
    sources = _sources(plan, lake, say)
    files = _files(plan, plan_json, digest, lake, sources, end_of_document)
    folder = folder.absolute()
    _pin(plan, digest, lake, folder, sources, say)
    for name, content in files.items():
        put(folder / name, content, executable=name.endswith(".sh"))
    settings = launch.read(folder / "pretrain.toml")
    gpus = plan.compute.gpus or 1
    if plan.schedule.batch % gpus:
        say(
            f"a batch of {plan.schedule.batch:,} rows cannot be dealt to the plan's {gpus:,} GPUs evenly: start a "
            "number of ranks that divides it"
        )
    return {
        "folder": str(folder),
        "lake": lake.url,
        "files": sorted(files),
        "steps": plan.schedule.steps,
        "batch": plan.schedule.batch,
        "sequence": plan.schedule.sequence,
        "tokens": plan.schedule.steps * plan.schedule.batch * plan.schedule.sequence,
        "params": settings.model.params,
        "sources": [
            {
                "source": source.source,
                "tokens": source.tokens,
                "parts": len(source.parts),
                "bytes": sum(part.bytes for part in source.parts),
            }
            for source in sources
        ],
        "command": shlex.join(["bash", str(folder / "torchrun.sh")]),
    }


def end_of_document(tokenizer_json: bytes, wanted: str | None = None) -> int:
    """Id of the token that ends documents: `wanted`, or the first of the usual ones among the added tokens.

    Raises ConfigError where there is none.
    """
    if wanted is not None:
        found = Tokenizer.from_buffer(tokenizer_json).token_to_id(wanted)
        if found is None:
            raise ConfigError(f"the tokenizer has no token {wanted!r}: name another one with --end-of-document TOKEN")
        return found
    added = {token["content"]: token["id"] for token in json.loads(tokenizer_json).get("added_tokens") or ()}
    for token in ENDS:
        if token in added:
            return added[token]
    raise ConfigError(
        f"the tokenizer has none of {', '.join(ENDS)} to end documents with: name its own with --end-of-document TOKEN"
    )


def _files(
    plan: Plan, plan_json: bytes, digest: str, lake: Lake, sources: list[Source], wanted: str | None
) -> dict[str, bytes]:
    """Name -> content of every file of the folder."""
    tokenizer_json = _tokenizer(plan.supply.tokenizer, lake)
    end = end_of_document(tokenizer_json, wanted)
    return {
        "plan.json": plan_json,
        "tokenizer.json": tokenizer_json,
        "data.json": _data_json(digest, plan.supply.tokenizer, sources),
        "pretrain.toml": _pretrain_toml(plan, digest, lake, end).encode(),
        "torchrun.sh": _torchrun_sh(plan).encode(),
    }


def _sources(plan: Plan, lake: Lake, say: Callable[[str], None]) -> list[Source]:
    """What the plan trains on: the token parts of the manifests that it counted."""
    planned = {source.source: source.manifest for source in plan.supply.sources}
    again = f"run `assay tokenize --all --lake {lake.url}` and `assay plan` again"
    sources = []
    for asked in plan.mix.sources:
        if not asked.tokens:
            continue
        name = planned.get(asked.source)
        if name is None:
            raise AssayError(f"the plan names no ledger manifest of {asked.source}: {again}")
        manifest = lake.read_json(f"{asked.source}/manifests/{name}")
        if manifest is None:
            raise AssayError(f"the ledger {asked.source}/manifests/{name} that was planned is gone: {again}")
        if manifest["tokenizer"] != plan.supply.tokenizer:
            raise AssayError(f"{asked.source} was counted by another tokenizer than the plan names: {again}")
        room = lake.room(asked.source)
        parts = tuple(
            build(Part, p["tokens"], f"{asked.source}/manifests/{name}") for p in manifest["parts"] if p["tokens"]
        )
        sizes = room.sizes("tokens")
        for part in parts:
            if sizes.get(part.sha256) != part.bytes:
                raise AssayError(f"the part {room.path('tokens', part.sha256)} is gone or cut short: {again}")
        if room.current().get("ledger") != name:
            say(f"{asked.source} has changed in the lake since it was planned: what was planned is launched")
        tokens = round(asked.share * plan.schedule.tokens)
        sources.append(Source(asked.source, asked.group, asked.share, tokens, asked.available, name, parts))
    if not sources:
        raise AssayError(f"the mix {plan.mix.name} asks for no tokens of any source: there is nothing to train on")
    return sources


def _tokenizer(fingerprint: str | None, lake: Lake) -> bytes:
    if fingerprint is None:
        raise AssayError("the plan names no tokenizer: plan again with --lake")
    tokenizer_json = lake.tokenizer_json(fingerprint)
    if identity.fingerprint(tokenizer_json) != fingerprint:
        raise AssayError(f"the tokenizer {fingerprint} in {lake.url} was changed: run `assay reconcile`")
    return tokenizer_json


def _data_json(digest: str, tokenizer: str | None, sources: list[Source]) -> bytes:
    content = {"plan": digest, "tokenizer": tokenizer, "sources": [asdict(source) for source in sources]}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _pretrain_toml(plan: Plan, digest: str, lake: Lake, end: int) -> str:
    schedule, model = plan.schedule, plan.model
    local = max(1, schedule.batch // max(1, plan.compute.gpus or 1))
    fitting = max(1, MICRO_BATCH_TOKENS // schedule.sequence)
    micro_batch = next(rows for rows in range(min(fitting, local), 0, -1) if local % rows == 0)
    return f"""\
# What torchrun.sh trains. Written by `assay launch`, which replaces it; edit it as you like.

[plan]
name = {_toml(plan.name)}
digest = "{digest}"  # sha256 of plan.json: checkpoints of other plans are refused

# Decoder: RMSNorm, rotary positions, SwiGLU, no biases, tied embeddings.
{_comment(model.rule)}
[model]
layers = {model.layers}
width = {model.width}
heads = {model.heads}
head_size = {model.head_size}
ffn = {model.ffn}
vocabulary = {model.vocabulary}

[data]
lake = {_toml(lake.url)}  # edit where the lake is mounted elsewhere
manifest = "data.json"  # the parts that were planned
end_of_document = {end}  # id that follows every document
sequence = {schedule.sequence}  # tokens of a row
seed = {SEED}  # order of the documents

{_comment(schedule.rule)}
[schedule]
steps = {schedule.steps}
batch = {schedule.batch}  # rows of an optimizer step, over all ranks
warmup_steps = {schedule.warmup_steps}
peak_rate = {float(schedule.peak_rate)}
final_rate = {float(schedule.final_rate)}  # at the last step: the cosine is as long as the run

# AdamW as BloombergGPT (arXiv:2303.17564) and LLaMA (arXiv:2302.13971) have it: betas 0.9 and 0.95, weight decay 0.1;
# LLaMA clips gradients at norm 1.0.
[optimizer]
beta1 = 0.9
beta2 = 0.95
weight_decay = 0.1  # of matrices; norms have none
clip = 1.0

[run]
micro_batch = {micro_batch}  # rows of one forward pass of one rank: lower it where memory is short
checkpoint_every = {min(CHECKPOINT_STEPS, math.ceil(schedule.steps / 10))}  # steps
seed = {SEED}  # initial weights
"""


TORCHRUN_SH = """\
#!/usr/bin/env bash
# Trains what pretrain.toml says, on this machine's GPUs, or on its CPUs where it has none.
# Arguments go to the trainer: --stop-after STEP, --out FOLDER (runs). It goes on from the newest checkpoint there.
#
# Environment: PYTHON, NPROC (ranks of this node), OMP_NUM_THREADS; and on several nodes, where this same script is
# started on each: NNODES, HEAD_NODE (a host name that the first node knows as its own), RUN_ID (equal on all nodes,
# new for every start), and the folder and the lake on a disk that all of them share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PYTHON=${PYTHON:-@PYTHON@}
NNODES=${NNODES:-1}
export PYTHONSAFEPATH=1

"$PYTHON" -m planner.launch.settings pretrain.toml
"$PYTHON" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' || {
    echo "assay: torch is not installed for $PYTHON: pip install 'corpus-assay[launch]'" >&2
    exit 1
}

if [ -z "${NPROC:-}" ]; then
    # torch's own count: it knows CUDA_VISIBLE_DEVICES, and a torch without CUDA sees none.
    NPROC=$("$PYTHON" -c 'import torch; print(max(1, min(@PLANNED@, torch.cuda.device_count())))')
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(((($(getconf _NPROCESSORS_ONLN) - 1) / NPROC) + 1))}

if [ "$NNODES" -gt 1 ]; then
    : "${HEAD_NODE:?assay: several nodes need HEAD_NODE, the host name of the first}"
    : "${RUN_ID:?assay: several nodes need RUN_ID, equal on all of them and new for every start}"
    rendezvous=(--nnodes="$NNODES" --rdzv-backend=c10d --rdzv-endpoint="$HEAD_NODE:29500" --rdzv-id="$RUN_ID")
else
    rendezvous=(--standalone)
fi
exec "$PYTHON" -m torch.distributed.run "${rendezvous[@]}" --nproc-per-node="$NPROC" --max-restarts=0 \\
    -m planner.launch.pretrain pretrain.toml "$@"
"""


def _torchrun_sh(plan: Plan) -> str:
    planned = min(plan.compute.gpus or NODE_GPUS, NODE_GPUS)
    return TORCHRUN_SH.replace("@PLANNED@", str(planned)).replace("@PYTHON@", shlex.quote(sys.executable))


def _toml(text: str) -> str:
    """A basic string of TOML: JSON's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """Text as lines of comment."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(printable, 120, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _pin(plan: Plan, digest: str, lake: Lake, folder: Path, sources: list[Source], say: Callable[[str], None]) -> None:
    """Note in the lake which parts the launch needs, so that none is deleted."""
    content = {
        "plan": plan.name,
        "folder": str(folder),
        "parts": {source.source: [part.sha256 for part in source.parts] for source in sources},
        "manifests": {source.source: source.manifest for source in sources},
    }
    room = lake.room(PINS)
    try:
        with room.lock("launch"):
            room.write_json(f"{digest}.json", content)
    except OSError as error:
        say(f"the parts could not be pinned in {room.root} ({error.strerror}): keep them there until the run is over")
