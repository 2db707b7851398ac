"""Quality signals: one pass over the UTF-8 bytes of a batch, ratios of integers, no threshold.

A word is a maximal run of characters that are not Unicode white space; a letter is a character of a Unicode letter
category (L*). Both are defined here, once.
"""

from __future__ import annotations

import functools
import sys
import unicodedata

import numba
import numpy as np
import pyarrow as pa

from corpora.schema import SIGNALS

VERSION = 1

SPACE, LETTER = 1, 2
LAST_LETTER = 0x40000  # planes 4 to 16 hold neither letters nor white space


@functools.cache
def character_classes() -> np.ndarray:
    """uint8 (0x110000,): for each code point `SPACE`, `LETTER` or 0. The tables are Python's (`unicodedata`)."""
    classes = np.zeros(sys.maxunicode + 1, np.uint8)
    for code in range(LAST_LETTER):
        character = chr(code)
        if character.isspace():
            classes[code] = SPACE
        elif unicodedata.category(character)[0] == "L":
            classes[code] = LETTER
    return classes


def signals(documents: pa.RecordBatch) -> pa.RecordBatch:
    """`schema.SIGNALS` of a batch of documents with `doc_id` and `text`; null where the text is null."""
    text = documents["text"]
    offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    data = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    n_words, word_characters, lettered = count_words(data, offsets, character_classes())
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    some = valid & (n_words > 0)
    words = np.maximum(n_words, 1)
    columns = [
        documents["doc_id"],
        pa.array(n_words, mask=~valid),
        pa.array(word_characters / words, mask=~some),
        pa.array(lettered / words, mask=~some),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SIGNALS)


@numba.njit(nogil=True, cache=True)
def count_words(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per text: words, characters in them, and words with a letter; int64 (n,) each.

    `data` is valid UTF-8, uint8; text i lies at offsets[i]:offsets[i + 1], int64 (n + 1,).
    """
    n = len(offsets) - 1
    n_words, characters, lettered = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        position, end = offsets[i], offsets[i + 1]
        in_word = has_letter = False
        while position < end:
            byte = data[position]
            if byte < 0x80:
                code, length = np.int64(byte), 1
            elif byte < 0xE0:
                code, length = np.int64(byte & 0x1F) << 6 | (data[position + 1] & 0x3F), 2
            elif byte < 0xF0:
                code = (
                    np.int64(byte & 0x0F) << 12 | np.int64(data[position + 1] & 0x3F) << 6 | (data[position + 2] & 0x3F)
                )
                length = 3
            else:
                code = np.int64(byte & 0x07) << 18 | np.int64(data[position + 1] & 0x3F) << 12
                code |= np.int64(data[position + 2] & 0x3F) << 6 | (data[position + 3] & 0x3F)
                length = 4
            position += length
            kind = classes[code]
            if kind == SPACE:
                lettered[i] += has_letter
                in_word = has_letter = False
            else:
                n_words[i] += not in_word
                characters[i] += 1
                in_word = True
                has_letter |= kind == LETTER
        lettered[i] += has_letter
    return n_words, characters, lettered


def warm() -> None:
    """Compile (or load) the kernels now, so that workers find them in the cache."""
    count_words(np.frombuffer(b"a", np.uint8), np.array([0, 1]), character_classes())
