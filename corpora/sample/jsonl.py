"""What the corpora in JSON lines share: drafts that become lines, and lines that become files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from corpora.sample import junk
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.planted import File, Piece


class Draft(NamedTuple):
    """A text and what is planted in it: `group` and `label` as in `Piece`."""

    title: str
    text: str
    group: str = "good"
    label: str = ""


BLANK = Piece(b"\n", "skipped", "blank line")


def broken(raw: bytes, kind: str) -> Piece:
    """A line that cannot be read."""
    return Piece(raw + b"\n", "quarantined", kind)


def regroup(drafts: Iterable[Draft], group: str, label: str = "") -> list[Draft]:
    """The same texts, planted as something else."""
    return [draft._replace(group=group, label=label) for draft in drafts]


def revisions(drafts: Iterable[Draft], corpus: str, rule: str) -> list[Draft]:
    """A near duplicate of each draft: one more sentence of `rule`."""
    return [
        Draft(draft.title, Writer(ENGLISH, f"{corpus} revision {n}").revised(draft.text, rule), "near_duplicates")
        for n, draft in enumerate(drafts)
    ]


def dropped(corpus: str, **numbers: int) -> list[Draft]:
    """So many drafts of each kind of junk, by the name of its function in `junk`."""
    groups = {
        "menu": "too_few_words",
        "symbols": "too_few_words",
        "letters": "word_length",
        "names_of_files": "word_length",
        "figures": "alphabetic",
    }
    return [
        Draft("", getattr(junk, kind)(Writer(ENGLISH, f"{corpus} {kind} {n}")), groups[kind])
        for kind, number in numbers.items()
        for n in range(number)
    ]


def files(
    corpus: str,
    drafts: Sequence[Draft],
    record: Callable[[Draft, float], dict[str, Any]],
    paths: Sequence[str],
    pack: Callable[[list[bytes]], bytes],
) -> list[File]:
    """The drafts in an order of their own, as lines of JSON, in equal shares in the files at `paths`.

    `record` makes the object of a line; it is told which share of the lines (0 to 1) stand before it.
    """
    order = Writer(ENGLISH, f"{corpus} order").shuffled(drafts)
    pieces = [
        Piece(
            orjson.dumps(record(draft, n / len(order))) + b"\n",
            draft.group,
            draft.label,
            f"{draft.title}\n{draft.text}",
        )
        for n, draft in enumerate(order)
    ]
    cuts = [len(pieces) * n // len(paths) for n in range(len(paths) + 1)]
    return [File(path, pieces[start:end], pack) for path, (start, end) in zip(paths, pairwise(cuts))]
