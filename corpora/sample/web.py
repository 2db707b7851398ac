"""Pages extracted from a web crawl: JSON lines in Zstandard, with all that a crawl brings along."""

from __future__ import annotations

from datetime import date

import orjson

from corpora.sample import jsonl, junk, press
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.jsonl import Draft
from corpora.sample.languages import LANGUAGES
from corpora.sample.packing import zstandard_frame
from corpora.sample.planted import COOKIES, ESCAPE, File
from corpora.sample.words import day

_PAGES = 760
_REPEATED = range(100, 140)
_REVISED = range(160, 200)
_FOREIGN = {"de": 16, "es": 12, "fr": 14, "la": 8, "ru": 10}
LENT = {"c4": range(25)}
"""Which pages other corpora carry too."""


def page(n: int) -> Draft:
    """The page of number `n`, the same whoever asks."""
    writer = Writer(ENGLISH, f"web {n}", place="Dublin" if n % 7 else "Lisbon")
    rules = (("everyday", "everyday"), ("everyday", "computing"), ("research", "markets"), ("business", "everyday"))[
        n % 4
    ]
    body = [paragraph for rule in rules for paragraph in writer.prose(rule, 95 + writer.below(70))]
    if n % 9 == 0:
        body.append(COOKIES)
    if n % 20 == 11:
        body.append(junk.contact(writer))
    if n == 201:
        body[0] = f"{ESCAPE} {body[0]}"
    title = writer.title("page_title")
    return Draft(title, "\n\n".join([title, *body]))


def foreign(language: str, seed: str) -> Draft:
    """A page in another language; the seed keeps it apart from those of other corpora."""
    return Draft("", "\n\n".join(Writer(LANGUAGES[language], seed).prose("sentence", 160)), "other_languages", language)


def files() -> list[File]:
    """The files of the corpus."""
    pages = [page(n) for n in range(_PAGES)]
    drafts = [
        *pages,
        *jsonl.regroup((pages[n] for n in _REPEATED), "exact_duplicates_within"),
        *jsonl.revisions((pages[n] for n in _REVISED), "web", "everyday"),
        *jsonl.regroup(map(press.release, press.LENT["web"]), "exact_duplicates_across", "press"),
        *(foreign(code, f"web {code} {n}") for code, number in _FOREIGN.items() for n in range(number)),
        *jsonl.dropped("web", menu=60, symbols=15, letters=10, names_of_files=14, figures=24),
    ]
    files = jsonl.files("web", drafts, _record, [f"crawl-{n}.jsonl.zst" for n in range(4)], zstandard_frame)
    broken = [
        jsonl.broken(b'{"id":"w-latin","url":"https://cafe.example.com/","text":"caf\xe9 au lait"}', "invalid UTF-8"),
        jsonl.broken(b'{"id":"w-brace","url":"https://cut.example.com/","text":"and then the line', "not JSON"),
        jsonl.broken(orjson.dumps({"id": "w-none", "url": "https://none.example.com/"}), "no text"),
        jsonl.broken(orjson.dumps({"id": "w-null", "url": "https://null.example.com/", "text": None}), "no text"),
    ]
    for file, piece in zip(files, broken):
        file.pieces.insert(20, piece)
    return files


def _record(draft: Draft, share: float) -> dict[str, str]:
    number = int(share * 10**6)
    return {
        "id": f"w-{number:06}",
        "url": f"https://www{number % 37}.example.com/pages/{number:06}",
        "timestamp": f"{day(date(2013, 5, 1), date(2022, 11, 30), share)}T{number % 24:02}:15:00Z",
        "text": draft.text,
    }
