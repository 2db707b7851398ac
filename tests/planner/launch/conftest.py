"""Small lakes and plans, made by hand."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpora.lake import TOKENIZER, Lake
from corpora.schema import TOKENS
from planner.launch import folder
from planner.launch.parts import training_tokens
from planner.schema import Compute, Mix, MixSource, Model, Plan, Run, Schedule, Source, Supply, Verdict
from tokenizer import identity

VOCABULARY = 64
END = 0
ROW_GROUP_BYTES = 400  # some three documents

Documents = Iterable[tuple[list[int], str]]  # ids and split


def tokenizer_json(end: str = "<|endoftext|>") -> bytes:
    """A tokenizer of `VOCABULARY` words whose id `END` is the added token `end`."""
    vocab = {end: END} | {f"w{i}": i for i in range(1, VOCABULARY)}
    added = {"id": END, "content": end, "single_word": False, "lstrip": False, "rstrip": False}
    added |= {"normalized": False, "special": True}
    return identity.canonical(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [added],
                "normalizer": None,
                "pre_tokenizer": {"type": "Whitespace"},
                "post_processor": None,
                "decoder": None,
                "model": {"type": "WordLevel", "vocab": vocab, "unk_token": end},
            }
        ).encode()
    )


def put_corpus(lake: Lake, name: str, parts: Iterable[Documents], tokenizer: str) -> None:
    """Put a corpus into a lake: token parts of small row groups, and the ledger manifest that lists them."""
    room = lake.room(name)
    with room.lock("test"):
        listed = []
        for documents in parts:
            writer = room.writer("tokens", TOKENS, row_group_bytes=ROW_GROUP_BYTES)
            for row, (ids, split) in enumerate(documents):
                columns = [
                    pa.array([f"{row:032x}"], pa.large_string()),
                    pa.nulls(1, pa.date32()),
                    pa.array([split], pa.large_string()),
                    pa.array([len(ids)], pa.int64()),
                    pa.array([ids], pa.list_(pa.int32())),
                ]
                writer.write(pa.RecordBatch.from_arrays(columns, schema=TOKENS))
            part = room.keep("tokens", writer)
            listed.append({"tokens": {"sha256": part.sha256, "rows": part.rows, "bytes": part.bytes}})
        room.publish(ledger={"stage": "ledger", "corpus": name, "parts": listed, "tokenizer": tokenizer})


def put_tokenizer(lake: Lake, content: bytes) -> str:
    """Put a tokenizer into a lake; its fingerprint."""
    fingerprint = identity.fingerprint(content)
    room = lake.room(TOKENIZER)
    with room.lock("test"):
        spooled = room.spool / "tokenizer.json"
        spooled.write_bytes(content)
        room.put(spooled, f"tokenizer-{fingerprint}.json")
    return fingerprint


def counting(documents: int, length: int, step: int) -> list[tuple[list[int], str]]:
    """Documents that count in steps: easy to learn."""
    return [([1 + (i + step * k) % (VOCABULARY - 1) for k in range(length)], "train") for i in range(documents)]


def make_plan(lake: Lake, shares: Mapping[str, float], **changes: Any) -> Plan:
    """A plan of a tiny model on corpora of a lake; `changes` are of its schedule."""
    schedule = {"sequence": 16, "batch": 8, "steps": 12, "warmup_steps": 2, "peak_rate": 2e-2, "final_rate": 2e-3}
    schedule |= changes
    tokens = schedule["steps"] * schedule["batch"] * schedule["sequence"]
    asked = {name: math.floor(share * tokens) for name, share in shares.items()}
    asked[next(iter(asked))] += tokens - sum(asked.values())
    available = {}
    sources = []
    fingerprint = None
    for name in shares:
        manifest, ledger = lake.room(name).in_force("ledger")
        fingerprint = ledger["tokenizer"]
        groups = [training_tokens(lake.room(name), part["tokens"]["sha256"]) for part in ledger["parts"]]
        available[name] = sum(map(sum, groups))
        sources.append(
            Source(source=name, group="public", documents=1, tokens=9999, training_tokens=10000, known="measured",
                   tokenizer=fingerprint, manifest=manifest)
        )  # fmt: skip
    supply = Supply(
        origin=lake.url, lake=True, sample=False, provisional=False, tokenizer=fingerprint, vocabulary=VOCABULARY,
        documents=1, tokens=1, training_tokens=2, groups={}, sources=sources,
    )  # fmt: skip
    mix = Mix(
        name="m", description="d", citation=None, strategy="fixed", normalised_from=None, budget=tokens, largest=tokens,
        binding=None,
        sources=[
            MixSource(source=name, group="public", share=share, tokens=asked[name], available=available[name],
                      epochs=asked[name] / available[name])
            for name, share in shares.items()
        ],
    )  # fmt: skip
    model = Model(
        target_params=1.0, params=1, layers=2, width=16, heads=2, head_size=8, ffn=32, vocabulary=128, rule="by\nhand"
    )
    return Plan(
        name='a "plan"\\ of\x7f 2',
        verdict=Verdict(limited_by="data", factor=1.0, law="l", binding=None, sentences=[]),
        alerts=[],
        supply=supply,
        mix=mix,
        compute=Compute(gpu="g", gpus=None, days=None, gpu_hours=1.0, formula="f", factors=[], flops=1.0,
                        utilisation=0.5, flops_range=None),
        laws=[],
        model=model,
        schedule=Schedule(tokens=tokens, rule="r", **schedule),
        run=Run(flops=1.0, gpu_hours=1.0, days=None, budget_share=1.0),
        assumptions=[],
    )  # fmt: skip


@pytest.fixture
def tiny_lake(tmp_path: Path) -> Lake:
    """A lake of three corpora that count in different steps."""
    return make_lake(tmp_path / "lake")


def make_lake(path: Path) -> Lake:
    """The lake of `tiny_lake` at a path."""
    lake = Lake(path)
    fingerprint = put_tokenizer(lake, tokenizer_json())
    put_corpus(lake, "ones", [counting(20, 30, 1), counting(9, 25, 1)], fingerprint)
    put_corpus(lake, "twos", [counting(30, 20, 2)], fingerprint)
    put_corpus(lake, "fives", [counting(15, 11, 5)], fingerprint)
    return lake


SHARES = {"ones": 0.5, "twos": 0.3, "fives": 0.2}


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., Path]:
    """Writes a launch folder for a plan; its path."""

    def write(plan: Plan, name: str = "launch") -> Path:
        content = plan.model_dump_json().encode()
        folder.write(plan, content, tmp_path / name, say=print)
        data = json.loads((tmp_path / name / "data.json").read_bytes())
        assert data["plan"] == sha256(content).hexdigest()
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def hands() -> Any:
    """This file's functions, for tests that make lakes and plans of their own."""
    return types.SimpleNamespace(**{name: value for name, value in globals().items() if not name.startswith("_")})
