"""What a raw file of the sample is made of, and the known truth about it.

A corpus is a list of files, a file a list of pieces, and each piece says what was planted in it. The truth is counted
from the same pieces that are written, so the two cannot drift apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# A contact has one of these and no other text does: numbers 555-01xx and the domain are reserved for fiction.
CONTACTS = ("@example.com", "555-01")
COOKIES = (
    "This site uses cookies to remember your settings and to count visits. By reading on you accept them; you can "
    "change your choice at any time under privacy settings at the foot of the page. Some partners do so too."
)
SCRIPT = "<script>alert(1)</script>"
ESCAPE = "\x1b[31mred alert\x1b[0m\x07"
SPECIAL_TOKEN = "<|endoftext|>"
HOSTILE = (SCRIPT, ESCAPE, SPECIAL_TOKEN)


class Piece(NamedTuple):
    """A piece that a reader cuts from a raw file: a record, or something it passes over."""

    raw: bytes
    """The bytes of the piece in the decoded file."""
    group: str = "good"
    """Field of `Planted` that it belongs to; what is good belongs to none."""
    label: str = ""
    """The reason, kind, language or other corpus, where that field tells them apart."""
    text: str = ""
    """What a person would read in it, with markup; empty where there is nothing to find."""


class File(NamedTuple):
    """A raw file: its path in the corpus, its pieces, and how their bytes become those of the file."""

    path: str
    pieces: list[Piece]
    pack: Callable[[list[bytes]], bytes]

    def content(self) -> bytes:
        """The bytes of the file."""
        return self.pack([piece.raw for piece in self.pieces])


@dataclass(frozen=True)
class Planted:
    """What is in one corpus of the sample. A document is in at most one of the groups below `records`.

    Words are maximal runs of characters that are not white space. Documents outside `too_few_words`, `word_length` and
    `alphabetic` have 80 to 5,000 words and pass the rules of those three; no two are equal but the copies told here.
    """

    containers: int
    """Files, damaged and empty ones too."""
    records: int
    """Pieces that become a row, quarantined ones too."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Pieces passed over, by reason."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Records that cannot be read, by kind."""
    too_few_words: int = 0
    """Documents of fewer than 50 words."""
    word_length: int = 0
    """Documents of at least 50 words whose mean word length is below 3 or above 10."""
    alphabetic: int = 0
    """Documents inside both limits above in which fewer than 80 % of the words have a letter."""
    exact_duplicates_within: int = 0
    """Copies, beyond the first, of a document of the same corpus."""
    exact_duplicates_across: Mapping[str, int] = field(default_factory=dict)
    """Documents whose text also stands in the named corpus, which has the higher priority."""
    near_duplicates: int = 0
    """Documents made of an earlier one by changing a little: a Jaccard index of 5-word shingles of 0.8 or more."""
    other_languages: Mapping[str, int] = field(default_factory=dict)
    """Documents in a language other than English, by ISO 639-1 code; what imitates Latin is `la`."""
    personal_data: int = 0
    """Documents with an e-mail address or a telephone number, of any group."""
    boilerplate: int = 0
    """Documents that carry the cookie notice `COOKIES` beside a text of their own."""
    hostile: int = 0
    """Ordinary documents with a script tag, a terminal escape or a special token in their title or text."""


_BY_LABEL = ("skipped", "quarantined", "exact_duplicates_across", "other_languages")
_ALIKE = ("too_few_words", "word_length", "alphabetic", "exact_duplicates_within", "near_duplicates")


def count(files: Iterable[File]) -> Planted:
    """The truth about `files`."""
    files = list(files)
    pieces = [piece for file in files for piece in file.pieces]
    groups = Counter((piece.group, piece.label) for piece in pieces)
    by_label = {name: {label: n for (group, label), n in sorted(groups.items()) if group == name} for name in _BY_LABEL}
    texts = [piece.text for piece in pieces if piece.group not in ("skipped", "quarantined")]
    return Planted(
        containers=len(files),
        records=len(pieces) - sum(by_label["skipped"].values()),
        **by_label,
        **{name: groups[name, ""] for name in _ALIKE},
        personal_data=sum(any(mark in text for mark in CONTACTS) for text in texts),
        boilerplate=sum(COOKIES in text for text in texts),
        hostile=sum(any(mark in text for mark in HOSTILE) for text in texts),
    )
