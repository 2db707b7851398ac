"""News articles of sixteen years: JSON lines in gzip, one file of them with the line ends of another system."""

from __future__ import annotations

from datetime import date

from corpora.sample import jsonl, junk, press
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.jsonl import Draft
from corpora.sample.packing import gzipped
from corpora.sample.planted import SCRIPT, File
from corpora.sample.words import COMPANIES, day

_ARTICLES = 640
_REPEATED = range(40, 60)
_REVISED = range(60, 90)
LENT = {"c4": range(15), "pile": range(15, 21)}
"""Which articles other corpora carry too."""


def article(n: int) -> Draft:
    """The article of number `n`, the same whoever asks."""
    writer = Writer(ENGLISH, f"news {n}")
    writer.about["place"] = place = writer.phrase("place")
    if n % 3 == 0:
        writer.about["company"] = writer.pick(COMPANIES)
    rules = (("markets", "discussion"), ("deal", "markets"), ("markets", "results"))[n % 3]
    body = writer.prose(rules[0], 170 + writer.below(120)) + writer.prose(rules[1], 90)
    body[0] = f"{place.upper()} -- {body[0]}"
    if n % 16 == 7:
        body.append(junk.contact(writer))
    title = writer.title("headline")
    return Draft(f"{title} {SCRIPT}" if n == 100 else title, "\n\n".join(body))


def files() -> list[File]:
    """The files of the corpus."""
    articles = [article(n) for n in range(_ARTICLES)]
    drafts = [
        *articles,
        *jsonl.regroup((articles[n] for n in _REPEATED), "exact_duplicates_within"),
        *jsonl.revisions((articles[n] for n in _REVISED), "news", "markets"),
        *jsonl.regroup(map(press.release, press.LENT["news"]), "exact_duplicates_across", "press"),
        *jsonl.dropped("news", menu=9, letters=3, figures=12),
    ]
    files = jsonl.files("news", drafts, _record, [f"news-{n}.jsonl.gz" for n in range(8)], gzipped)
    for n in (3, 5):
        files[n].pieces.insert(11, jsonl.BLANK)
        files[n].pieces.append(jsonl.BLANK)
    files[5].pieces[:] = [piece._replace(raw=piece.raw.replace(b"\n", b"\r\n")) for piece in files[5].pieces]
    files[6].pieces.insert(30, jsonl.broken(b'{"id":"news-null","title":"Correction","text":null}', "no text"))
    return files


def _record(draft: Draft, share: float) -> dict[str, str]:
    published = day(date(2007, 1, 1), date(2022, 12, 31), share)
    name = f"{published:%Y/%m}/{int(share * 10**6):06}"
    return {
        "id": f"news-{name}",
        "url": f"https://news.example.com/{name}.html",
        "date": published.isoformat(),
        "title": draft.title,
        "text": draft.text,
    }
