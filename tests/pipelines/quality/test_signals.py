"""Signals against an obvious implementation, on any text."""

from __future__ import annotations

import sys
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.schema import SIGNALS
from pipelines.quality.signals import LAST_LETTER, LETTER, SPACE, character_classes, signals

NAMES = SIGNALS.names[1:]


def obvious(text: str | None) -> dict[str, float | None]:
    """The signals of a text, slowly."""
    if text is None:
        return dict.fromkeys(NAMES)
    words = text.split()
    lettered = [word for word in words if any(unicodedata.category(character)[0] == "L" for character in word)]
    return {
        "n_words": len(words),
        "gopher_mean_word_length": sum(map(len, words)) / len(words) if words else None,
        "gopher_alphabetic_word_fraction": len(lettered) / len(words) if words else None,
    }


def measured(texts: list[str | None], begin: int = 0, end: int | None = None) -> list[dict]:
    batch = pa.RecordBatch.from_arrays(
        [pa.array(list(map(str, range(len(texts)))), pa.large_string()), pa.array(texts, pa.large_string())],
        ["doc_id", "text"],
    )
    found = signals(batch.slice(begin, None if end is None else end - begin))
    assert found.schema.equals(SIGNALS)
    found.validate(full=True)
    assert found["doc_id"].to_pylist() == list(map(str, range(len(texts))))[begin:end]
    return found.select(NAMES).to_pylist()


SPACES = [chr(code) for code in range(0x110000) if chr(code).isspace()]
TEXT = st.text() | st.text(st.sampled_from([*SPACES, *"aZ9.é\u0301я中😀\u200b\ufeff\U00020000"]))


@settings(max_examples=300)
@given(st.lists(st.none() | TEXT), st.integers(0, 4), st.integers(0, 8))
def test_signals_are_the_obvious_ones_on_any_slice(texts, begin, length):
    assert measured(texts) == [obvious(text) for text in texts]
    assert measured(texts, begin, begin + length) == [obvious(text) for text in texts[begin : begin + length]]


def test_every_character_has_its_class():
    for code, kind in enumerate(character_classes().tolist()):
        character = chr(code)
        assert (kind == SPACE) == character.isspace()
        assert (kind == LETTER) == (unicodedata.category(character)[0] == "L")


@pytest.mark.parametrize(
    ("text", "n_words", "characters", "lettered"),
    [
        ("", 0, 0, 0),
        (" \t\r\n\u00a0\u2028\u3000", 0, 0, 0),
        ("word", 1, 4, 1),
        ("... -- !", 3, 6, 0),
        ("one\r\ntwo\rthree\n", 3, 11, 3),
        ("a\u00a0b", 2, 2, 2),
        ("zero\u200bwidth", 1, 10, 1),
        ("e\u0301 \u0301", 2, 3, 1),
        ("速い茶色の狐", 1, 6, 1),
        ("быстрая лиса", 2, 11, 2),
        ("😀 👨‍👩‍👧", 2, 6, 0),
        ("٣ ½ Ⅷ", 3, 3, 0),
        ("\U00020000\U0001f600", 1, 2, 1),
        ("\0 a", 2, 2, 1),
    ],
)
def test_known_texts(text, n_words, characters, lettered):
    expected = {
        "n_words": n_words,
        "gopher_mean_word_length": characters / n_words if n_words else None,
        "gopher_alphabetic_word_fraction": lettered / n_words if n_words else None,
    }
    assert measured([text]) == [expected] == [obvious(text)]


def test_a_text_says_nothing_of_its_neighbours():
    texts = ["no end", "and no beginning", "", None, "x"]
    assert measured(texts) == [measured([text])[0] for text in texts]


def test_no_documents():
    assert measured([]) == []


def test_no_letter_and_no_white_space_lies_beyond_the_table() -> None:
    beyond = map(chr, range(LAST_LETTER, sys.maxunicode + 1))
    assert not any(character.isspace() or unicodedata.category(character)[0] == "L" for character in beyond)
