"""Press releases as a wire sends them: JSON lines in gzip. The corpus also reads the exhibits 99 of the filings."""

from __future__ import annotations

from datetime import date

from corpora.sample import filings, jsonl, junk
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.jsonl import Draft
from corpora.sample.packing import gzipped
from corpora.sample.planted import File, Piece
from corpora.sample.words import COMPANIES, day

_RELEASES = 470
_REPEATED = range(40, 52)
_REVISED = range(60, 76)
LENT = {"news": range(14), "web": range(14, 24), "c4": range(24, 36)}
"""Which releases other corpora carry too."""


def release(n: int) -> Draft:
    """The release of number `n`, the same whoever asks."""
    writer = Writer(ENGLISH, f"press {n}")
    writer.about["company"] = company = writer.pick(COMPANIES)
    rules = ("results", "deal") if n % 4 == 3 else ("results", "business")
    body = writer.prose(rules[0], 240) + writer.prose(rules[1], 110)
    body[0] = f"{writer.phrase('place').upper()}, {writer.phrase('day')} -- {body[0]}"
    body.append(f"About {company}. {company} serves {writer.phrase('customers')} with {writer.phrase('product')}.")
    if n % 3:
        body.append(junk.contact(writer))
    return Draft(writer.title("announcement"), "\n\n".join(body))


def files() -> list[File]:
    """The files of the corpus."""
    releases = [release(n) for n in range(_RELEASES)]
    drafts = [
        *releases,
        *jsonl.regroup((releases[n] for n in _REPEATED), "exact_duplicates_within"),
        *jsonl.revisions((releases[n] for n in _REVISED), "press", "results"),
        *jsonl.dropped("press", menu=4, figures=5),
    ]
    paths = [f"wire-{n}.jsonl.gz" for n in range(4)]
    files = jsonl.files("press", drafts, _record, paths, gzipped)
    files[1].pieces.insert(9, jsonl.broken(b'{"id":"pr-cut","wire":"Meridian Wire","date":"2016-0', "not JSON"))
    files[2].pieces.insert(5, jsonl.BLANK)
    return files


def exhibits() -> list[File]:
    """The filings as this corpus reads them, besides its own files: for their exhibits 99 alone."""
    seen: set[str] = set()
    return [file._replace(pieces=[_seen(piece, seen) for piece in file.pieces]) for file in filings.files()]


def _seen(piece: Piece, texts: set[str]) -> Piece:
    if piece.label == "type EX-99*":
        group = "exact_duplicates_within" if piece.text in texts else "good"
        texts.add(piece.text)
        return piece._replace(group=group, label="")
    if piece.group == "quarantined" or piece.label.startswith("type "):
        return piece
    return piece._replace(group="skipped", label="not selected")


def _record(draft: Draft, share: float) -> dict[str, str]:
    issued = day(date(2010, 1, 4), date(2022, 12, 30), share)
    wire = ("Meridian Wire", "Harbour Newswire", "Post & Signal")[int(share * 1000) % 3]
    return {
        "id": f"pr-{int(share * 10**6):06}",
        "wire": wire,
        "date": issued.isoformat(),
        "title": draft.title,
        "text": draft.text,
    }
