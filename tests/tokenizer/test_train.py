"""Training: a vocabulary as it is described, and the same bytes from the same texts, wherever and however often."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from tokenizer.identity import canonical
from tokenizer.train import train_bpe

ROOT = Path(__file__).parents[2]
SENTENCES = [
    "The bank raised its forecast for net interest income in the third quarter.",
    "Shares of the retailer fell 3.2% after it cut its full-year guidance.",
    "El banco elevó su previsión de ingresos para el tercer trimestre.",
    "日本銀行は金利を引き上げた。 日本銀行は金利を据え置いた。",
    "def total(rows):\n    return sum(row['tokens'] for row in rows)\n",
    "It's what we'll do; they've said so, haven't they? 👍🏽",
    "x",
    "",
]
TEXTS = [sentence + f" {i}" for i in range(40) for sentence in SENTENCES]


def batches(texts: list[str | None], size: int) -> list[pa.LargeStringArray]:
    return [pa.array(texts[i : i + size], pa.large_string()) for i in range(0, len(texts), size)]


def test_vocabulary():
    trained = train_bpe(batches(TEXTS, 50), 400)
    vocab = Tokenizer.from_buffer(trained).get_vocab()
    assert sorted(vocab.values()) == list(range(400))
    assert vocab["<|endoftext|>"] == 0
    assert sum(len(token) == 1 for token in vocab) == 256
    assert trained == canonical(trained)
    added = json.loads(trained)["added_tokens"]
    assert [(token["id"], token["content"], token["special"]) for token in added] == [(0, "<|endoftext|>", True)]


def test_any_text_comes_back():
    tokenizer = Tokenizer.from_buffer(train_bpe(batches(TEXTS, 50), 300))
    for text in [*SENTENCES, "never seen: \0 \x7f ٣ ꙮ \U0010ffff\r\n", " lead and trail  "]:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_neither_order_nor_batching_nor_nulls_change_it():
    trained = train_bpe(batches(TEXTS, 50), 500)
    shuffled = random.Random(0).sample(TEXTS, len(TEXTS))
    assert train_bpe(batches(TEXTS, 50), 500) == trained
    assert train_bpe(batches(shuffled, 7), 500) == trained
    assert train_bpe(iter(batches([None, *TEXTS, None], 1000)), 500) == trained


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "RAYON_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "RAYON_NUM_THREADS": "7"},
        {"PYTHONHASHSEED": "3", "TOKENIZERS_PARALLELISM": "false"},
    ],
    ids=str,
)
def test_another_process_gives_the_same_bytes(environment):
    program = (
        "import json, sys, pyarrow as pa; from tokenizer.train import train_bpe;"
        "texts = pa.array(json.load(sys.stdin), pa.large_string());"
        "sys.stdout.buffer.write(train_bpe([texts], 500))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(TEXTS).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | environment | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
    )
    assert other.stdout == train_bpe(batches(TEXTS, 50), 500)


def test_few_texts_give_fewer_ids():
    assert Tokenizer.from_buffer(train_bpe(batches(["ab ab"], 1), 1000)).get_vocab_size() == 258
    assert Tokenizer.from_buffer(train_bpe([], 1000)).get_vocab_size() == 257


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(ValueError, match="at least 257 ids, not 256"):
        train_bpe(batches(TEXTS, 50), 256)
    assert Tokenizer.from_buffer(train_bpe(batches(TEXTS, 50), 257)).get_vocab_size() == 257
