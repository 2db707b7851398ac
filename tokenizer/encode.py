"""Texts to token ids, exactly and fast, one Arrow array at a time.

What is right is defined by the library `tokenizers` with `encode_special_tokens=True`, `add_special_tokens=False`: the
ids of the text alone, where the string of a special token (`<|endoftext|>` quoted in a blog post) is ordinary text. The
library `gigatoken` gives the same ids some fifty times as fast for most byte-level and SentencePiece BPE tokenizers,
not for all and not on its word: `choose` compares the two on the tokenizer and the documents at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import awkward as ak
import gigatoken
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tokenizer.identity import MAX_ID

EncodePath = Literal["gigatoken", "tokenizers"]
Ragged = tuple[np.ndarray, np.ndarray]  # offsets of n + 1 lists, int64; ids of all of them, int32

# gigatoken 0.10 remembers every word it meets (its issue 36): 10 bytes of memory per byte of text when all words
# differ, under 1 for real text. After this many bytes of text it starts anew, which takes 0.1 to 0.8 s.
CACHED_BYTES = 1 << 28
CHUNK_BYTES = 1 << 20  # `tokenizers` holds some 450 bytes per id until its batch is done
SAMPLE_BYTES = 1 << 19  # of documents compared by `choose`: 0.3 s of `tokenizers` on one core
SAMPLE_CHARACTERS = 1 << 15  # of one of them, so that one long document does not stand for all


class Encoder:
    """Encodes arrays of texts with one tokenizer on one path; `tokenizer_json` as `identity.load` returns it.

    It can be pickled (the libraries' own objects are made anew on first use). Use one instance per thread: the path
    `gigatoken` stays on the calling thread, `tokenizers` uses its own threads unless TOKENIZERS_PARALLELISM=false.
    """

    def __init__(self, tokenizer_json: bytes, path: EncodePath) -> None:
        self.tokenizer_json = tokenizer_json
        self.path = path

    def __reduce__(self) -> tuple:
        return Encoder, (self.tokenizer_json, self.path)

    @cached_property
    def _ragged(self) -> Callable[[pa.LargeStringArray], Ragged]:
        if self.path == "gigatoken":
            return _gigatoken(orjson.loads(self.tokenizer_json))
        return _tokenizers(self.tokenizer_json)

    def encode(self, texts: pa.LargeStringArray) -> pa.ListArray:
        """Ids of every text, n texts -> n lists of int32: a null text gives a null list, an empty one an empty list.

        Raises TypeError for another type of array, ValueError when all lists together hold more than 2^31 - 1 ids,
        which the offsets of a ListArray cannot count, and what the library raises when it does not load the tokenizer.
        """
        if not isinstance(texts, pa.LargeStringArray):  # its buffers would be read as something they are not
            raise TypeError(f"texts come as a LargeStringArray, not as a {type(texts).__name__}")
        nulls = texts.is_null() if texts.null_count else None
        return _lists(*self._ragged(pc.fill_null(texts, "") if texts.null_count else texts), nulls)


def choose(tokenizer_json: bytes, sample: pa.LargeStringArray) -> tuple[EncodePath, str]:
    """The fastest path that is exact for this tokenizer, and one sentence that says why.

    It is `gigatoken` when that library loads the tokenizer and gives the ids of `tokenizers` for (a) every added token
    alone, within letters, within spaces, doubled and after a line break, (b) a fixed list of hostile strings, and (c)
    the first 0.5 MiB of `sample`, documents of this run, nulls left out. Most of the time it takes, 0.4 s for GPT-2's
    50,000 ids and 2 s for o200k's 200,000, goes into loading the tokenizer twice.
    """
    settings = orjson.loads(tokenizer_json)
    probes = pa.array(_probes(settings), pa.large_string())
    documents = _bounded(sample.drop_null())
    texts = pa.concat_arrays([probes, documents])
    try:
        fast = _gigatoken(settings)
    except Exception as error:  # it raises RuntimeError, ValueError and others for what it does not know
        return "tokenizers", f"gigatoken does not load this tokenizer: {str(error).splitlines()[0]}"
    found = _lists(*fast(texts), None)
    expected = Encoder(tokenizer_json, "tokenizers").encode(texts)
    if found.equals(expected):
        return "gigatoken", f"identical to tokenizers on {len(probes)} probes and {len(documents)} documents"
    differs = next(i for i in range(len(texts)) if found[i] != expected[i])
    return "tokenizers", f"gigatoken differs from tokenizers on the text {texts[differs].as_py()[:60]!r}"


def _gigatoken(settings: dict) -> Callable[[pa.LargeStringArray], Ragged]:
    # It has no switch to read special tokens as text, so it is not told of them.
    added = [token for token in settings.get("added_tokens", []) if not token["special"]]
    plain = orjson.dumps(settings | {"added_tokens": added, "truncation": None, "padding": None})
    tokenizer, cached = gigatoken.Tokenizer.from_json(plain), 0

    def ragged(texts: pa.LargeStringArray) -> Ragged:
        nonlocal tokenizer, cached
        if cached >= CACHED_BYTES:
            tokenizer, cached = gigatoken.Tokenizer.from_json(plain), 0
        offsets = _offsets(texts)
        cached += int(offsets[-1] - offsets[0])
        ids = tokenizer.encode_batch(_awkward(texts), parallel=False).layout
        return ids.offsets.data, ids.content.data.view(np.int32)

    return ragged


def _tokenizers(tokenizer_json: bytes) -> Callable[[pa.LargeStringArray], Ragged]:
    tokenizer = Tokenizer.from_buffer(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True

    def ragged(texts: pa.LargeStringArray) -> Ragged:
        lists = [np.empty(0, np.int32)]  # the first offset is 0
        for chunk in _chunks(texts):
            encodings = tokenizer.encode_batch_fast(chunk.to_pylist(), add_special_tokens=False)
            # The library hands out ids as a list of one document; it lives for this line only.
            lists += [np.array(encoding.ids, np.int32) for encoding in encodings]
        return np.cumsum([len(ids) for ids in lists]), np.concatenate(lists)

    return ragged


def _offsets(texts: pa.LargeStringArray) -> np.ndarray:
    """Where each text begins in the data buffer, and the last one ends: int64, n + 1, not from 0 in a slice."""
    if not len(texts):  # Arrow allows it an empty buffer
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]


def _awkward(texts: pa.LargeStringArray) -> ak.Array:
    """The same buffers as an awkward array of strings; nothing is copied."""
    utf8 = np.frombuffer(texts.buffers()[2], np.uint8)
    return ak.Array(
        ak.contents.ListOffsetArray(
            ak.index.Index64(_offsets(texts)),
            ak.contents.NumpyArray(utf8, parameters={"__array__": "char"}),
            parameters={"__array__": "string"},
        )
    )


def _lists(offsets: np.ndarray, ids: np.ndarray, nulls: pa.BooleanArray | None) -> pa.ListArray:
    if offsets[-1] > MAX_ID:
        raise ValueError(f"{offsets[-1]} ids in one array are more than 2^31 - 1: encode fewer texts at a time")
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(ids), mask=nulls)


def _chunks(texts: pa.LargeStringArray) -> list[pa.LargeStringArray]:
    """Slices of whole texts, each of about CHUNK_BYTES or one longer text."""
    starts = _offsets(texts)[:-1]
    cuts = np.flatnonzero(np.diff(starts // CHUNK_BYTES, prepend=-1))
    return [texts[start:end] for start, end in zip(cuts, [*cuts[1:], len(texts)])]


def _bounded(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The first texts, each cut to SAMPLE_CHARACTERS, that together do not exceed SAMPLE_BYTES."""
    cut = pc.utf8_slice_codeunits(texts, 0, SAMPLE_CHARACTERS)
    return cut[: np.searchsorted(_offsets(cut), SAMPLE_BYTES, side="right") - 1]


def _probes(settings: dict) -> list[str]:
    added = [token["content"] for token in settings.get("added_tokens", [])]
    return [*HOSTILE, *(text for t in added for text in (t, f"ab{t}cd", f"a {t} b", t + t, f"a\n{t}"))]


# Strings on which two implementations may disagree: white space, contractions and digits, where patterns split; the
# rest for normalization, byte fallback and Unicode tables of different age.
HOSTILE = (
    "",
    "\0",
    "a\0b\x01\x1f\x7f",
    " ",
    "  leading and trailing  ",
    " " * 1000,
    "a" * 1000,
    "=" * 1000,
    "\n" * 1000,
    "日" * 1000,
    "-_" * 500,
    "a b  c   d    e     f",
    "tab\tand\t\ttabs\x0b\x0c \u00a0\u2003\u3000\u200b\ufeff.",
    "line\r\nbreaks\r\n\r\n\n\r \r\n \n x\u2028y\u2029z\x85",
    "\ttabs\n\tand\n    indents\n  \n\n",
    "it's IT'S we'll WE'LL I'm they've 'sdf ''s ’s ʼt 'ſ",
    "0 12 123 1234 12345678901234567890 1,234.56 3.14e-10 0x1F",
    "٠١٢٣ ४५६ １２３ ²³ ½ Ⅷ ①",
    "e\u0301 é a\u0323\u0307 a\u0307\u0323 ﬁ ＡＢＣ ǆ İi ıI ß ẞ Å \u0301alone",
    "Z\u0351\u036b\u0343a\u0321\u0357l\u0334g\u0353o\u0348",
    "👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ ☠︎ #️⃣ \U0001f9d1\u200d\U0001f680",
    "\ud7ff\ue000\ufffd\uffff\U0010ffff\U000e0001",
    "The 中文 und русский مع עברית ไทย हिन्दी 한국어 ひらカタ ქართული.",
    "שָׁלוֹם مُحَمَّد नमस्ते สวัสดี កម្ពុជា မြန်မာ",
    "camelCase HTTPServer snake_case ALLCAPS lower UPPERlower Ünïcödé ǅungla ᾈ",
    "$1.5M; (20%) [x] {y} <z> «q» “w” — … !!! ??? ... #@~^`|\\/&*+",
    "def f(x):\n    return {'a': [1, 2], \"b\": x**2}  # ok\n",
    "https://example.com/a?b=c&d=%20#e user@example.org",
    "▁ ▁▁ Ġ Ċ <0x0A> <0xFF> ▁a Ġb",
    "<|endoftext|> <s> </s> <unk> <pad> [MASK] [INST] <|im_start|> <|",
)
