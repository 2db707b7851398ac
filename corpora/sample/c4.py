"""A cleaned crawl of one month: JSON in gzip, sharing documents with other corpora, the last file cut off in a line."""

from __future__ import annotations

from datetime import date

import orjson

from corpora.sample import jsonl, news, press, web
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.jsonl import Draft
from corpora.sample.packing import gzipped, gzipped_and_cut
from corpora.sample.planted import SPECIAL_TOKEN, File, Piece
from corpora.sample.words import day

_PAGES = 720
_REPEATED = range(100, 115)
_REVISED = range(120, 145)
_FOREIGN = {"es": 4, "fr": 3}


def page(n: int) -> Draft:
    """The page of number `n`."""
    writer = Writer(ENGLISH, f"c4 {n}")
    rules = (("everyday", "wiki"), ("medicine", "everyday"), ("markets", "results"), ("everyday", "everyday"))[n % 4]
    body = [paragraph for rule in rules for paragraph in writer.prose(rule, 110 + writer.below(80))]
    if n == 77:
        body.append(f"The page ended with the mark {SPECIAL_TOKEN} and nothing came after it.")
    return Draft("", "\n".join(body))


def files() -> list[File]:
    """The files of the corpus."""
    pages = [page(n) for n in range(_PAGES)]
    across = {
        "press": map(press.release, press.LENT["c4"]),
        "news": map(news.article, news.LENT["c4"]),
        "web": map(web.page, web.LENT["c4"]),
    }
    drafts = [
        *pages,
        *jsonl.regroup((pages[n] for n in _REPEATED), "exact_duplicates_within"),
        *jsonl.revisions((pages[n] for n in _REVISED), "c4", "everyday"),
        *(copy for corpus, lent in across.items() for copy in jsonl.regroup(lent, "exact_duplicates_across", corpus)),
        *(web.foreign(code, f"c4 {code} {n}") for code, number in _FOREIGN.items() for n in range(number)),
        *jsonl.dropped("c4", menu=12, names_of_files=4, figures=10),
    ]
    files = jsonl.files("c4", drafts, _record, [f"c4-train.{n:05}-of-00004.json.gz" for n in range(4)], gzipped)
    cut = Piece(orjson.dumps(_record(page(_PAGES), 0.999999)) + b"\n", "quarantined", "truncated gzip stream")
    files[3] = files[3]._replace(pieces=[*files[3].pieces, cut], pack=gzipped_and_cut)
    return files


def _record(draft: Draft, share: float) -> dict[str, str]:
    number = int(share * 10**6)
    crawled = day(date(2019, 1, 15), date(2019, 12, 20), share)
    return {
        "text": draft.text,
        "timestamp": f"{crawled}T12:{number % 60:02}:54Z",
        "url": f"https://site{number % 53}.example.com/{number:06}/",
    }
