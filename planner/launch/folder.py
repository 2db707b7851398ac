"""Writes the launch folder: a plan, the data that it counted, and what starts the trainer on both.

Nothing is trained on but what was planned: data.json lists the token parts of the manifests that the plan counted, and
a pin in the lake keeps them from deletion.
"""

from __future__ import annotations

import json
import math
import shlex
import textwrap
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from corpora.config import build
from corpora.errors import AssayError, ConfigError
from corpora.lake import Lake
from corpora.part import Part
from planner.files import put
from planner.launch import settings as launch
from planner.launch.parts import training_tokens
from planner.launch.pins import pinned
from planner.launch.script import torchrun_sh
from planner.launch.settings import Source, TokenPart
from planner.schema import MixSource, Plan
from tokenizer import identity

ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")
MICRO_BATCH_TOKENS = 8_192  # of one forward pass of one rank
CHECKPOINT_STEPS = 1_000  # as Pythia: Biderman et al. 2023, arXiv:2304.01373
CHECKPOINTS = 3  # that stay
CHECKPOINT_BYTES = 12  # per parameter: weight and AdamW's two moments in fp32
READERS = 8  # parts that are read at a time, at launch
SEED = 0


@dataclass(frozen=True)
class Counted:
    """A source as the plan counted it."""

    asked: MixSource
    manifest: str
    parts: tuple[Part, ...]


def write(
    plan: Plan,
    plan_json: bytes,
    folder: Path,
    *,
    lake: str | None = None,
    end_of_document: str | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the launch folder of a plan; other files there stay. Returns a summary of what was written.

    `plan_json`: the bytes of `plan.json`, whose sha256 names the plan from here on. `lake`: where the lake lies now,
    where that is not where it was planned; parts are named by their content. `end_of_document`: the token that ends
    documents, where the tokenizer has none of the usual ones. `say` is told what a person should know. Raises
    AssayError, in one sentence, where what was planned cannot be trained or is not in the lake any more.
    """
    supply = plan.supply
    if not supply.lake:
        raise AssayError(
            f"this plan was made from a table ({supply.origin}): it has no data to train on; tokenize the corpora and "
            "plan again with --lake"
        )
    where = Lake(lake or supply.origin)
    if not where.fs.isdir(where.root):
        raise AssayError(f"there is no lake {where.url}: say where it lies now with --lake, or plan again")
    digest, folder = sha256(plan_json).hexdigest(), folder.absolute()
    counted = _counted(plan, where, say)
    tokenizer_json = _tokenizer(plan, where)
    pretrain_toml = _pretrain_toml(plan, digest, where, _end(plan, tokenizer_json, end_of_document))
    settings = launch.checked(tomllib.loads(pretrain_toml), folder / "pretrain.toml")
    pin = {
        "plan": plan.name,
        "digest": digest,
        "folder": str(folder),
        "parts": {each.asked.source: {"tokens": [part.sha256 for part in each.parts]} for each in counted},
        "manifests": {each.asked.source: each.manifest for each in counted},
        "tokenizer": supply.tokenizer,
    }
    with pinned(where, folder, pin, say):
        sources = [_source(each, where) for each in counted]
        files = {
            "plan.json": plan_json,
            "tokenizer.json": tokenizer_json,
            "data.json": _data_json(digest, supply.tokenizer, sources),
            "pretrain.toml": pretrain_toml.encode(),
            "torchrun.sh": torchrun_sh(plan.compute.gpus).encode(),
        }
        for name, content in files.items():
            put(folder / name, content, executable=name.endswith(".sh"))
    return {
        "folder": str(folder),
        "lake": where.url,
        "files": sorted(files),
        "steps": plan.schedule.steps,
        "batch": plan.schedule.batch,
        "sequence": plan.schedule.sequence,
        "tokens": plan.schedule.tokens,
        "params": settings.model.params,
        "checkpoint_bytes": CHECKPOINT_BYTES * settings.model.params,
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


def _end(plan: Plan, tokenizer_json: bytes, wanted: str | None) -> int:
    """The id that ends documents, the model having a row for it and for every other id."""
    ids = identity.vocabulary(tokenizer_json)
    if plan.model.vocabulary < ids:
        raise AssayError(
            f"the plan's model has a vocabulary of {plan.model.vocabulary:,}, and the tokenizer {ids:,} ids: plan again"
        )
    return end_of_document(tokenizer_json, wanted)


def _counted(plan: Plan, lake: Lake, say: Callable[[str], None]) -> list[Counted]:
    """What the plan trains on: the token parts of the manifests that it counted."""
    planned = {source.source: source.manifest for source in plan.supply.sources}
    again = _again(lake)
    found = []
    for asked in plan.mix.sources:
        if not asked.tokens:
            continue
        name = planned.get(asked.source)
        if name is None:
            raise AssayError(f"the plan names no ledger manifest of {asked.source}: {again}")
        manifest = lake.room(asked.source).read_manifest(name)
        if manifest is None:
            raise AssayError(f"the ledger {asked.source}/manifests/{name} that was planned is gone: {again}")
        if manifest["tokenizer"] != plan.supply.tokenizer:
            raise AssayError(f"{asked.source} was counted by another tokenizer than the plan names: {again}")
        listed = [entry["tokens"] for entry in manifest["parts"] if entry["tokens"]]
        parts = tuple(build(Part, entry, f"{asked.source}/manifests/{name}") for entry in listed)
        if lake.room(asked.source).current().get("ledger") != name:
            say(f"{asked.source} has changed in the lake since it was planned: what was planned is launched")
        found.append(Counted(asked, name, parts))
    if not found:
        raise AssayError(f"the mix {plan.mix.name} asks for no tokens of any source: there is nothing to train on")
    return found


def _source(counted: Counted, lake: Lake) -> Source:
    """The source as data.json lists it, its parts looked at: there, whole, and with the tokens that were planned."""
    asked, room = counted.asked, lake.room(counted.asked.source)
    sizes = room.sizes("tokens")
    for part in counted.parts:
        if sizes.get(part.sha256) != part.bytes:
            raise AssayError(f"the part {room.path('tokens', part.sha256)} is gone or cut short: {_again(lake)}")
    with ThreadPoolExecutor(READERS) as pool:
        groups = list(pool.map(lambda part: training_tokens(room, part.sha256), counted.parts))
    if (found := sum(map(sum, groups))) != asked.available:
        raise AssayError(
            f"the parts of {asked.source} have {found:,} training tokens, and the plan counted {asked.available:,}: "
            f"run `assay reconcile {lake.option}`"
        )
    parts = tuple(TokenPart(**asdict(part), groups=of) for part, of in zip(counted.parts, groups))
    return Source(asked.source, asked.group, asked.share, asked.tokens, asked.available, counted.manifest, parts)


def _again(lake: Lake) -> str:
    return f"run `assay tokenize --all {lake.option}` and `assay plan` again"


def _tokenizer(plan: Plan, lake: Lake) -> bytes:
    fingerprint = plan.supply.tokenizer
    if fingerprint is None:
        raise AssayError("the plan names no tokenizer: plan again with --lake")
    return lake.tokenizer_json(fingerprint)


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
keep = {CHECKPOINTS}  # newest checkpoints; older ones are deleted, and a run that diverged can go back no further
seed = {SEED}  # initial weights
"""


def _toml(text: str) -> str:
    """A basic string of TOML: JSON's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """Text as lines of comment."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(printable, 120, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
