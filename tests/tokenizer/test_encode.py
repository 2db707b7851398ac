"""Encoding: the ids are those of `tokenizers` on either path, for any text and any shape of Arrow array."""

from __future__ import annotations

import gzip
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from tokenizer import encode as module
from tokenizer.encode import HOSTILE, Encoder, choose
from tokenizer.identity import load
from tokenizer.train import train_bpe

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TOKENIZERS = SHARED / "tokenizers"
PATHS = ("gigatoken", "tokenizers")


def strings(*texts: str | None) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


TEXTS = strings(
    "The bank raised its forecast for net interest income in the third quarter.",
    "Shares fell 3.2% after the bank cut its forecast.\r\n\r\nIt's what they've said.",
    "<|endoftext|>quoted: <|endoftext|><|endoftext|> in a text",
    *HOSTILE,
)
TRAINED = train_bpe([TEXTS, TEXTS], 400)
ENCODERS = {path: Encoder(TRAINED, path) for path in PATHS}


def reference(tokenizer_json: bytes, texts: pa.LargeStringArray) -> list[list[int] | None]:
    """What defines the right ids: `tokenizers`, one text at a time."""
    tokenizer = Tokenizer.from_buffer(tokenizer_json)
    tokenizer.encode_special_tokens = True
    return [None if t is None else tokenizer.encode(t, add_special_tokens=False).ids for t in texts.to_pylist()]


def changed(**tokens: bool) -> bytes:
    """The trained tokenizer with more added tokens, each special or not."""
    tokenizer = Tokenizer.from_buffer(TRAINED)
    for content, special in tokens.items():
        token = AddedToken(content, special=special, normalized=False)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    return tokenizer.to_str().encode()


@pytest.fixture(params=PATHS)
def encoder(request) -> Encoder:
    return ENCODERS[request.param]


def test_ids_are_the_reference(encoder):
    ids = encoder.encode(TEXTS)
    assert ids.type == pa.list_(pa.int32())
    assert ids.to_pylist() == reference(TRAINED, TEXTS)
    ids.validate(full=True)


def test_special_strings_are_ordinary_text(encoder):
    ids = encoder.encode(strings("<|endoftext|>", "a<|endoftext|>b", "<|endoftext|>" * 2))
    assert all(len(row) > 1 and 0 not in row for row in ids.to_pylist())


def test_no_special_tokens_are_added(encoder):
    tokenizer = Tokenizer.from_buffer(TRAINED)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    assert Encoder(tokenizer.to_str().encode(), encoder.path).encode(TEXTS).equals(encoder.encode(TEXTS))


def test_slices(encoder):
    whole = encoder.encode(TEXTS)
    for start, end in ((0, 3), (1, 4), (5, 5), (len(TEXTS) - 1, len(TEXTS)), (2, len(TEXTS))):
        part = encoder.encode(TEXTS[start:end])
        part.validate(full=True)
        assert part.equals(whole[start:end])
    assert encoder.encode(TEXTS[2:9][1:4]).equals(whole[3:6])


def test_first_offset_need_not_be_zero(encoder):
    offsets, data = np.array([6, 11, 11, 12], np.int64), b"skip, hello!"
    texts = pa.LargeStringArray.from_buffers(3, *map(pa.py_buffer, (offsets, data)))
    assert encoder.encode(texts).equals(encoder.encode(strings("hello", "", "!")))


def test_nulls(encoder):
    texts = strings(None, "hello", None, "", "bank", None)
    ids = encoder.encode(texts)
    assert ids.to_pylist() == reference(TRAINED, texts)
    assert ids.is_null().to_pylist() == [True, False, True, False, False, True]
    assert encoder.encode(texts[1:5]).equals(ids[1:5])


def test_bytes_behind_a_null_are_not_text(encoder):
    offsets, data = np.array([0, 6, 11], np.int64), b"hiddenhello"
    texts = pa.LargeStringArray.from_buffers(2, *map(pa.py_buffer, (offsets, data)), pa.py_buffer(b"\x02"))
    assert encoder.encode(texts).equals(encoder.encode(strings(None, "hello")))


def test_nothing_to_encode(encoder):
    without_offsets = pa.LargeStringArray.from_buffers(0, pa.py_buffer(b""), pa.py_buffer(b""))
    for texts in (strings(), TEXTS[3:3], without_offsets):
        assert encoder.encode(texts).equals(pa.array([], pa.list_(pa.int32())))
    assert encoder.encode(strings("", "")).to_pylist() == [[], []]
    assert encoder.encode(pa.nulls(2, pa.large_string())).to_pylist() == [None, None]


def test_other_types_are_refused(encoder):
    for texts in (pa.array(["a"]), pa.chunked_array([TEXTS]), pa.array([b"a"], pa.large_binary())):
        with pytest.raises(TypeError, match="LargeStringArray"):
            encoder.encode(texts)


def test_long_texts(encoder):
    texts = strings("bank " * 50_000, "a" * 100_000, " " * 100_000, "日" * 30_000, "", "end")
    assert encoder.encode(texts).to_pylist() == reference(TRAINED, texts)


def test_chunks_of_the_exact_path_lose_nothing(monkeypatch):
    for size in (1, 7, 100, 10_000):
        monkeypatch.setattr(module, "CHUNK_BYTES", size)
        for texts in (TEXTS, TEXTS[3:17], strings("", "", "a", "", "bb" * size, "")):
            chunks = module._chunks(texts)
            assert [text for chunk in chunks for text in chunk.to_pylist()] == texts.to_pylist()
            assert ENCODERS["tokenizers"].encode(texts).equals(ENCODERS["gigatoken"].encode(texts))


def test_the_fast_path_starts_anew_before_its_memory_grows(monkeypatch):
    loads = []
    load_json = module.gigatoken.Tokenizer.from_json
    monkeypatch.setattr(module.gigatoken.Tokenizer, "from_json", lambda json: loads.append(json) or load_json(json))
    monkeypatch.setattr(module, "CACHED_BYTES", 1000)
    encoder, texts = Encoder(TRAINED, "gigatoken"), strings("skipped", "bank " * 100)[1:]
    for expected in (1, 1, 2, 2, 3):
        assert encoder.encode(texts).to_pylist() == reference(TRAINED, texts)
        assert len(loads) == expected


def test_too_many_ids_for_one_array():
    with pytest.raises(ValueError, match=r"more than 2\^31 - 1"):
        module._lists(np.array([0, 2**31]), np.empty(0, np.int32), None)


def test_pickled_before_and_after_use(encoder):
    fresh = Encoder(TRAINED, encoder.path)
    for one in (pickle.loads(pickle.dumps(fresh)), pickle.loads(pickle.dumps(encoder))):
        assert (one.tokenizer_json, one.path) == (TRAINED, encoder.path)
        assert one.encode(TEXTS).equals(encoder.encode(TEXTS))


def test_one_instance_per_thread(encoder):
    expected = encoder.encode(TEXTS)

    def work(_: int) -> bool:
        own = Encoder(TRAINED, encoder.path)
        return all(own.encode(TEXTS).equals(expected) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


@given(st.lists(st.one_of(st.none(), st.text(), st.text("ab \n\r'sé\u030107<|>endoftxt"))))
def test_any_text_on_both_paths(texts):
    array = strings(*texts)
    expected = reference(TRAINED, array)
    for path in PATHS:
        assert ENCODERS[path].encode(array).to_pylist() == expected


def test_choose_takes_the_fast_path_when_it_is_exact():
    probes = len(HOSTILE) + 5
    assert choose(TRAINED, TEXTS) == (
        "gigatoken",
        f"identical to tokenizers on {probes} probes and {len(TEXTS)} documents",
    )
    assert choose(TRAINED, strings()) == ("gigatoken", f"identical to tokenizers on {probes} probes and 0 documents")
    assert choose(TRAINED, strings(None, "a"))[1].endswith("and 1 documents")


def test_choose_needs_no_added_tokens():
    settings = json.loads(TRAINED)
    del settings["added_tokens"]
    assert choose(json.dumps(settings).encode(), TEXTS)[0] == "gigatoken"


def test_choose_bounds_the_sample():
    _, note = choose(TRAINED, strings(*["bank " * 1000] * 1000))
    assert note.endswith(f"{module.SAMPLE_BYTES // 5000} documents")
    _, note = choose(TRAINED, strings("bank " * 1_000_000, "x"))
    assert note.endswith("2 documents")


@pytest.mark.parametrize("model", ["unigram", "wordlevel"])
def test_choose_falls_back_when_the_fast_path_does_not_load(model):
    if model == "unigram":
        tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -1.5), ("ab", -2.0)], unk_id=0))
    else:
        tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "bank": 1}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer_json = tokenizer.to_str().encode()
    path, note = choose(tokenizer_json, TEXTS)
    assert path == "tokenizers"
    assert note.startswith("gigatoken does not load this tokenizer: ")
    assert "\n" not in note
    assert Encoder(tokenizer_json, path).encode(TEXTS).to_pylist() == reference(tokenizer_json, TEXTS)


def test_choose_falls_back_when_an_added_token_differs():
    # Left out for gigatoken, the special token no longer hides the ordinary one within it.
    tokenizer_json = changed(**{"ank>": False, "<bank>": True})
    path, note = choose(tokenizer_json, strings())
    assert (path, note) == ("tokenizers", "gigatoken differs from tokenizers on the text '<bank>'")


def test_choose_falls_back_when_a_document_differs(monkeypatch):
    monkeypatch.setattr(module, "_probes", lambda _: [])
    tokenizer_json = changed(**{"ank>": False, "<bank>": True})
    assert choose(tokenizer_json, strings("the bank"))[0] == "gigatoken"
    assert choose(tokenizer_json, strings("the bank", "the <bank>"))[0] == "tokenizers"


def test_ordinary_added_tokens_keep_their_ids():
    tokenizer_json = changed(**{"net interest income": False, "<|pad|>": True})
    texts = strings("the net interest income", "net interest incomes <|pad|>")
    path, _ = choose(tokenizer_json, TEXTS)
    expected = reference(tokenizer_json, texts)
    assert 400 in expected[0] and 401 not in expected[1]
    assert Encoder(tokenizer_json, path).encode(texts).to_pylist() == expected


def shared_documents() -> pa.LargeStringArray:
    with gzip.open(SHARED / "press" / "earnings_calls.jsonl.gz") as lines:
        return strings(*(json.loads(line)["text"] for line in islice(lines, 20)))


@pytest.mark.skipif(not TOKENIZERS.is_dir(), reason=f"{TOKENIZERS} is missing")
@pytest.mark.parametrize(
    ("name", "fast"),
    [
        ("gpt2.tokenizer.json", "gigatoken"),
        ("gpt-neox-20b.tokenizer.json", "gigatoken"),
        ("llama2.tokenizer.json", "gigatoken"),
        ("llama3.tokenizer.json.gz", "gigatoken"),
        ("cl100k_base.tokenizer.json", "gigatoken"),
        ("o200k_base.tokenizer.json.gz", "gigatoken"),
        ("pegasus-unigram.tokenizer.json", "tokenizers"),
    ],
)
def test_published_tokenizers(name, fast):
    tokenizer_json = load(TOKENIZERS / name)
    documents = shared_documents()
    path, note = choose(tokenizer_json, documents)
    assert path == fast, note
    added = [token["content"] for token in json.loads(tokenizer_json)["added_tokens"]]
    texts = pa.concat_arrays([documents[10:], TEXTS, strings(*added, *(f"x{token} y" for token in added))])
    assert Encoder(tokenizer_json, path).encode(texts).to_pylist() == reference(tokenizer_json, texts)
