"""What a tokenizer is: its `tokenizer.json`, the canonical form of it, and the fingerprint that every count carries.

The form is that of the Hugging Face library `tokenizers`: one JSON object with normalizer, pre-tokenizer, model and
added tokens.
"""

from __future__ import annotations

import gzip
import json
import zlib
from hashlib import sha256
from pathlib import Path

from tokenizers import Tokenizer

GZIP_MAGIC = b"\x1f\x8b"
MAX_ID = 2**31 - 1  # ids are stored as int32


def canonical(tokenizer_json: bytes) -> bytes:
    """The one way to write this tokenizer: UTF-8 JSON, keys sorted, no white space, `truncation` and `padding` null.

    Those two are settings of a call and not of the tokenizer. Order of keys and white space say nothing either; every
    other difference is a different tokenizer. Raises ValueError when the bytes are not a JSON object in UTF-8.
    """
    tokenizer = json.loads(tokenizer_json)
    if not isinstance(tokenizer, dict):
        raise ValueError(f"a tokenizer.json holds a JSON object, not a {type(tokenizer).__name__}")
    tokenizer |= {"truncation": None, "padding": None}
    # The standard library on purpose: how it writes numbers does not change from version to version.
    return json.dumps(tokenizer, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fingerprint(tokenizer_json: bytes) -> str:
    """sha256 of the canonical JSON, 64 hex digits. Raises ValueError as `canonical` does."""
    return sha256(canonical(tokenizer_json)).hexdigest()


def load(path: str | Path) -> bytes:
    """Reads a `tokenizer.json`, plain or gzip (told by its content, not its name); returns the JSON as it was written.

    Raises OSError when the file cannot be read, and ValueError, with one sentence, when it is not a tokenizer.json that
    `tokenizers` loads, when an id does not fit int32, or when the model has dropout, which makes ids random.
    """
    content = Path(path).read_bytes()
    try:
        tokenizer_json = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
        tokenizer = Tokenizer.from_buffer(tokenizer_json)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} begins like a gzip file but cannot be unpacked: {error}") from error
    except Exception as error:  # `tokenizers` raises bare Exception
        raise ValueError(f"{path} is not a tokenizer.json that the library tokenizers loads: {error}") from error
    if dropout := json.loads(tokenizer_json)["model"].get("dropout"):
        raise ValueError(f"{path} has BPE dropout {dropout}, so its ids are random: set model.dropout to null")
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest > MAX_ID:
        raise ValueError(f"{path} has the token id {largest}, which does not fit int32")
    return tokenizer_json


def vocabulary(tokenizer_json: bytes) -> int:
    """Rows that an embedding needs: the largest id, added tokens included, + 1."""
    tokenizer = json.loads(tokenizer_json)
    vocab = tokenizer["model"]["vocab"]  # {token: id}; of Unigram models a list of [token, score] in order of id
    largest = max(vocab.values(), default=-1) if isinstance(vocab, dict) else len(vocab) - 1
    return 1 + max([largest, *(token["id"] for token in tokenizer.get("added_tokens") or ())])
