"""Encyclopedia pages in wikitext, as a MediaWiki export in bzip2: one file of two streams, one of one."""

from __future__ import annotations

from datetime import date
from functools import partial
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import escape

from corpora.sample import junk
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.packing import bzip2_streams
from corpora.sample.planted import SCRIPT, File, Piece
from corpora.sample.words import PEOPLE, TOWNS, day

_ARTICLES = 400
_STUBS = 24
_LISTS = 6
_REDIRECTS = 50
_NAMESPACES = {1: ("Talk", 22), 4: ("Wikipedia", 6), 6: ("File", 8), 10: ("Template", 10), 14: ("Category", 12)}
_VILLAGES = 20  # what a bot wrote about the villages of one district: each like the first

_SITE = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>samplewiki</dbname>
    <base>https://wiki.example.com/wiki/Main_Page</base>
    <generator>MediaWiki 1.41.0</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
{namespaces}
    </namespaces>
  </siteinfo>
"""


class Page(NamedTuple):
    """A page of the wiki, and what is planted in it. A text of None is not in the export at all."""

    title: str
    text: str | None
    namespace: int = 0
    redirect: str = ""
    group: str = "good"
    label: str = ""


def files() -> list[File]:
    """The files of the corpus."""
    pages = Writer(ENGLISH, "wikipedia order").shuffled([*_articles(), *_others()])
    pieces = [_piece(page, number, number / len(pages)) for number, page in enumerate(pages)]
    half = len(pieces) // 2
    names = ("samplewiki-pages-articles-multistream.xml.bz2", "samplewiki-pages-articles2.xml.bz2")
    return [
        File(names[0], pieces[:half], partial(_export, streams=2)),
        File(names[1], pieces[half:], partial(_export, streams=1)),
    ]


def _export(raws: list[bytes], streams: int) -> bytes:
    """The pages between the head and the foot of an export, cut into so many streams."""
    names = "\n".join(
        f'      <namespace key="{key}" case="first-letter">{name}</namespace>' for key, (name, _) in _NAMESPACES.items()
    )
    raws = [_SITE.format(namespaces=names).encode("ascii"), *raws, b"</mediawiki>\n"]
    cuts = [len(raws) * n // streams for n in range(streams + 1)]
    return bzip2_streams(*(b"".join(raws[start:end]) for start, end in pairwise(cuts)))


def _articles() -> list[Page]:
    pages = [Page(title, _article(title, n)) for n, title in enumerate(TOWNS[: _ARTICLES - 1])]
    pages.append(Page(f"Markup {SCRIPT} (novel)", _article("Markup", _ARTICLES)))
    writer = Writer(ENGLISH, "wikipedia village", town="the village")
    prose = writer.prose("wiki", 320)
    for n in range(_VILLAGES):
        name = f"{TOWNS[-1 - n]} End"
        opening = f"'''{name}''' is a village with {writer.phrase('count')} residents in the district of Kelder."
        group = "near_duplicates" if n else "good"
        pages.append(Page(name, "\n\n".join([opening, *prose, "[[Category:Villages in Kelder]]"]), group=group))
    return pages


def _others() -> list[Page]:
    pages = []
    for n in range(_STUBS):
        writer = Writer(ENGLISH, f"wikipedia stub {n}")
        name, born, place = writer.phrase("person"), writer.phrase("year"), writer.phrase("place")
        text = f"'''{name}''' (born {born}) is a sculptor from [[{place}]]."
        pages.append(Page(f"{name} (sculptor {n})", text, group="too_few_words"))
    for n in range(_LISTS):
        rows = junk.figures(Writer(ENGLISH, f"wikipedia list {n}"))
        pages.append(Page(f"Rainfall records {1990 + n}", rows.replace("\n", "\n\n"), group="alphabetic"))
    for n in range(_REDIRECTS):
        pages.append(Page(f"{TOWNS[n]}, Kelder", f"#REDIRECT [[{TOWNS[n]}]]", 0, TOWNS[n], "skipped", "redirect"))
    for key, (name, number) in _NAMESPACES.items():
        for n in range(number):
            writer = Writer(ENGLISH, f"wikipedia {name} {n}")
            title = f"{name}:{TOWNS[n]}"
            pages.append(Page(title, "\n\n".join(writer.prose("wiki", 60)), key, "", "skipped", f"namespace {key}"))
    pages.append(Page("Kelder (lost revision)", None, group="quarantined", label="page without text"))
    return pages


def _article(title: str, n: int) -> str:
    """An article with an infobox, references, links, a table, a picture and categories, as the numbers fall."""
    writer = Writer(ENGLISH, f"wikipedia {n}", town=title)
    lead, *history = writer.prose("wiki", 220)
    economy = writer.prose("wiki", 180)
    place, river = writer.phrase("place"), writer.phrase("river")
    parts = [
        f"{{{{Infobox settlement\n| name = {title}\n| population = {writer.phrase('count')}\n| river = {river}\n}}}}",
        f"'''{title}''' is a town near [[{place}]] on the [[River {river}|{river}]]. {lead}<ref>{{{{cite book |"
        f"last={writer.pick(PEOPLE).split()[1]} |title=History of {title} |year={writer.phrase('year')}}}}}</ref>",
        "== History ==",
        *history,
        f"[[File:{title} {writer.phrase('landscape')}.jpg|thumb|left|The town in {writer.phrase('year')}]]",
        f"=== The {writer.phrase('landscape')} ===",
        f"''{writer.title('page_title')}'' was shown there. {writer.sentence('wiki')}<ref name=\"fair\" />",
        "== Economy ==",
        *economy,
    ]
    if n % 3 == 0:
        rows = "\n".join(f"|-\n| {writer.phrase('year')} || {writer.phrase('count')}" for _ in range(6))
        parts.append(f'{{| class="wikitable"\n! Year !! Residents\n{rows}\n|}}')
    if n % 50 == 4:
        parts.append(junk.contact(writer))
    parts += [
        "== See also ==",
        f"* [[{writer.pick(TOWNS)}]]\n* [[{writer.pick(TOWNS)}|Its neighbour]]",
        "== References ==\n{{Reflist}}",
        f"[[Category:Towns near {place}]]\n[[Category:Places on the River {river}]]",
    ]
    return "\n\n".join(parts)


def _piece(page: Page, number: int, share: float) -> Piece:
    redirect = f'    <redirect title="{escape(page.redirect)}" />\n' if page.redirect else ""
    edited = day(date(2004, 3, 1), date(2023, 10, 30), share)
    text = (
        ""
        if page.text is None
        else f'      <text bytes="{len(page.text.encode())}" xml:space="preserve">{escape(page.text)}</text>\n'
    )
    raw = (
        f"  <page>\n    <title>{escape(page.title)}</title>\n    <ns>{page.namespace}</ns>\n"
        f"    <id>{1000 + number}</id>\n{redirect}    <revision>\n      <id>{700_000 + number}</id>\n"
        f"      <timestamp>{edited}T08:30:00Z</timestamp>\n"
        f"      <contributor>\n        <username>Editor{number % 17}</username>\n        <id>{number % 17}</id>\n"
        f"      </contributor>\n      <model>wikitext</model>\n      <format>text/x-wiki</format>\n{text}"
        "    </revision>\n  </page>\n"
    ).encode()
    readable = "" if page.group == "skipped" else f"{page.title}\n{page.text or ''}"
    return Piece(raw, page.group, page.label, readable)
