"""A collection of sets, each with a hand of its own: JSON lines in Zstandard that name the set of every text."""

from __future__ import annotations

from typing import Any

from corpora.sample import jsonl, junk, news
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.jsonl import Draft
from corpora.sample.packing import zstandard_frame
from corpora.sample.planted import SPECIAL_TOKEN, File

_REPEATED = range(40, 50)
_REVISED = range(80, 95)


def _opinion(writer: Writer) -> str:
    parties = f"{writer.phrase('person').upper()}, Appellant,\nv.\n{writer.phrase('company').upper()}, Appellee."
    return "\n\n".join(
        [parties, f"Decided {writer.phrase('day')}, {writer.phrase('year')}.", *writer.prose("law", 520)]
    )


def _abstract(writer: Writer) -> str:
    return " ".join(writer.prose("medicine", 190))


def _question(writer: Writer) -> str:
    contact = [junk.contact(writer)] if writer.below(6) == 0 else []
    question, answer = writer.prose("computing", 110), writer.prose("computing", 130)
    return "\n\n".join(["Q:", *question, "A:", *answer, *contact])


def _encyclopedia(writer: Writer) -> str:
    return "\n\n".join([writer.about["town"], *writer.prose("wiki", 420)])


def _source(writer: Writer) -> str:
    return "".join(["import logging\n", *(writer.phrase("code") for _ in range(60))])


def _paper(writer: Writer) -> str:
    sections = [
        f"\\section{{{name}}}\n" + "\n\n".join(writer.prose("science", 170)) for name in ("Setting", "Proof", "End")
    ]
    return "\n\n".join(sections)


# Each set: how many texts, and who writes them.
_SETS = {
    "FreeLaw": (90, _opinion),
    "PubMed Abstracts": (150, _abstract),
    "StackExchange": (140, _question),
    "Wikipedia (en)": (90, _encyclopedia),
    "Github": (70, _source),
    "ArXiv": (90, _paper),
}


def files() -> list[File]:
    """The files of the corpus. The title of a draft is the name of its set, which goes to the metadata."""
    texts = []
    for name, (number, write) in _SETS.items():
        for n in range(number):
            writer = Writer(ENGLISH, f"pile {name} {n}")
            writer.about["town"] = writer.phrase("town")
            texts.append(Draft(name, write(writer)))
    texts[3] = texts[3]._replace(text=f"{texts[3].text}\n\n{SPECIAL_TOKEN} closed the transcript.")
    articles = [news.article(n)._replace(title="") for n in news.LENT["pile"]]
    drafts = [
        *texts,
        *jsonl.regroup((texts[n] for n in _REPEATED), "exact_duplicates_within"),
        *jsonl.revisions((texts[n] for n in _REVISED), "pile", "law"),
        *jsonl.regroup(articles, "exact_duplicates_across", "news"),
        *jsonl.dropped("pile", symbols=3, names_of_files=6, figures=8),
    ]
    files = jsonl.files("pile", drafts, _record, [f"{n:02}.jsonl.zst" for n in range(3)], zstandard_frame)
    files[1].pieces.insert(40, jsonl.broken(b'{"meta":{"pile_set_name":"Github"}}', "no text"))
    return files


def _record(draft: Draft, share: float) -> dict[str, Any]:
    return {"text": draft.text, "meta": {"pile_set_name": draft.title or "Pile-CC"}}
