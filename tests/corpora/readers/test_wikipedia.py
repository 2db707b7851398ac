"""MediaWiki exports: pages, offsets, damage, and wikitext reduced to text."""

from __future__ import annotations

import bz2
import random
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.readers import wikipedia
from corpora.readers.base import Counts
from corpora.readers.source import Source

DATA = Path(__file__).parents[3].parent / "shared" / "data"

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="it">
  <siteinfo>
    <base>https://it.wikipedia.org/wiki/Pagina_principale</base>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Immagine</namespace>
      <namespace key="14" case="first-letter">Categoria</namespace>
    </namespaces>
  </siteinfo>
"""


def page(title: str, text: str, ns: str = "0", extra: str = "") -> str:
    return (
        f"<page>\n<title>{title}</title>\n<ns>{ns}</ns>\n<id>7</id>{extra}\n<revision><id>9</id>"
        f"<timestamp>2014-10-26T04:50:23Z</timestamp><text>{text}</text></revision>\n</page>"
    )


def read(path: Path, options: wikipedia.Options | None = None) -> tuple[list[dict], Counts]:
    """The records of a dump and the counts, after a check that they agree and that no two pieces overlap."""
    counts, source = Counts(), Source(path=path.name, url=str(path))
    batches = list(wikipedia.read(source, options or wikipedia.Options(), counts))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert counts.records == len(rows)
    assert counts.raw_bytes == sum(row["raw_bytes"] for row in rows)
    ends = [row["byte_offset"] + row["raw_bytes"] for row in rows]
    assert all(end <= row["byte_offset"] for end, row in zip(ends, rows[1:]))
    assert not ends or ends[-1] <= source.decoded_bytes
    return rows, counts


@pytest.fixture
def reads(tmp_path):
    def of(data: str | bytes, options: wikipedia.Options | None = None) -> tuple[list[dict], Counts]:
        path = tmp_path / "dump.xml"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return read(path, options)

    return of


def test_pages_become_records(reads):
    dump = HEAD + page("Città d'arte", "L''''arte''' &amp; [[Roma|la città]].") + page("B", "b") + "</mediawiki>"
    rows, _ = reads(dump)
    first = rows[0]
    assert first["text"] == "L'arte & la città."
    assert (first["native_id"], first["title"], first["published"]) == ("7", "Città d'arte", date(2014, 10, 26))
    assert first["uri"] == "https://it.wikipedia.org/wiki/Citt%C3%A0_d%27arte"
    for row in rows:
        piece = dump.encode()[row["byte_offset"] : row["byte_offset"] + row["raw_bytes"]]
        assert piece.startswith(b"<page>") and piece.endswith(b"</page>") and piece.count(b"<page>") == 1


def test_redirects_and_other_namespaces_are_skipped(reads):
    pages = page("A", "x", extra='<redirect title="B" />') + page("Discussione:A", "x", ns="1") + page("B", "b")
    rows, counts = reads(HEAD + pages + "</mediawiki>")
    assert [row["title"] for row in rows] == ["B"]
    assert counts.skipped == {"redirect": 1, "namespace 1": 1}
    assert sum(counts.skipped_bytes.values()) + counts.raw_bytes == len(pages)


def test_last_revision_counts(reads):
    revisions = "<page><title>A</title>" + "".join(f"<revision><text>{n}</text></revision>" for n in "12") + "</page>"
    assert reads(HEAD + revisions + "</mediawiki>")[0][0]["text"] == "2"


@pytest.mark.parametrize("declaration", ["<!DOCTYPE mediawiki>", '<!DOCTYPE m [<!ENTITY a "aaa">]>'])
def test_entities_are_refused(reads, declaration):
    dump = declaration + HEAD + page("A", "a") + "</mediawiki>"
    [row], _ = reads(dump)
    assert (row["quarantine"], row["byte_offset"]) == ("XML declares entities", 0)
    assert row["raw_bytes"] == len(dump.encode())


def test_error_within_a_page_leaves_the_pages_before(reads):
    good, bad = HEAD + page("A", "a"), page("B", "b\x00") + page("C", "c") + "</mediawiki>"
    rows, _ = reads(good + bad)
    assert [row["title"] for row in rows] == ["A", None]
    assert rows[1]["quarantine"].startswith("not well-formed XML: ")
    assert (rows[1]["byte_offset"], rows[1]["raw_bytes"]) == (len(good), len(bad))


def test_end_within_a_page(reads):
    good = HEAD + page("A", "a")
    rows, _ = reads(good + page("B", "b")[:40])
    assert rows[1]["quarantine"].startswith("not well-formed XML: ")
    assert (rows[1]["byte_offset"], rows[1]["raw_bytes"]) == (len(good), 40)


def test_truncated_bzip2_is_one_record_for_the_page_it_was_in(reads):
    letters = random.Random(0).choices("abcdefgh ", k=500_000)
    pages = "".join(page(str(n), "".join(letters[n * 5000 : n * 5000 + 5000])) for n in range(100))
    dump = (HEAD + pages + "</mediawiki>").encode()
    rows, _ = reads(bz2.compress(dump, 1)[:-40])
    assert len(rows) > 10
    assert rows[-1]["quarantine"] == "truncated bzip2 stream"
    assert [row["quarantine"] for row in rows[:-1]] == [None] * (len(rows) - 1)
    assert dump[rows[-1]["byte_offset"] :].startswith(b"<page>")


def test_long_page_is_quarantined_and_the_next_is_read(reads):
    dump = HEAD + page("A", "a" * 5000) + page("B", "b") + "</mediawiki>"
    rows, _ = reads(dump, wikipedia.Options(max_record_bytes=2000))
    assert [row["quarantine"] for row in rows] == ["longer than 2000 bytes", None]


def test_token_without_end_is_not_held(reads):
    rows, _ = reads(HEAD + "<!-- " + "x" * (4 << 20), wikipedia.Options(max_record_bytes=1 << 20))
    assert [row["quarantine"] for row in rows] == [f"longer than {1 << 20} bytes"]


def test_empty_file_has_no_record(reads):
    assert reads(b"")[0] == []


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''A''' is ''b''. L''''arte'''", "A is b. L'arte"),
        ("a <!-- c <!-- c --> b<!-- open", "a  b"),
        ("a{{t|{{u}}|x={y}|{{{1|d}}}}} b", "a b"),
        ("a<ref name=x /> b<ref>c [[d]] {{e}}</ref> c", "a b c"),
        ("a\n{| class=x\n|-\n| b\n{|\n| c\n|}\n|}\nd", "a\n\nd"),
        ("a<table><tr><td>b<table><tr><td>c</table></table> d", "a d"),
        ("[[Rome|the city]]s, [[Rome]], [[:Category:X]], [[a|b [1] c]]", "the citys, Rome, Category:X, b [1] c"),
        ("a [[File:x.jpg|thumb|see [[Rome]] and [http://x.y z]]] b", "a  b"),
        ("a [[Datei:Bild.svg|links]] b [[Kategorie: C ]] [[fr:Rome]] [[zh-min-nan:R]]", "a  b"),
        ("[http://x.y label] [http://x.y]", "label"),
        ("== Head ==\n* one\n** two\n# n\n----\n__NOTOC__", "Head\none\ntwo\nn"),
        ("a<br/>b <sub>2</sub> x&nbsp;&lt;i&gt; <small>s</small>", "a\nb 2 x\xa0<i> s"),
        ("<nowiki>[[a]] {{b}} '''c'''</nowiki>", "[[a]] {{b}} '''c'''"),
        ("<math>\\frac{{a}}{b}</math>x<gallery>\nFile:a.jpg|c\n</gallery>", "x"),
        ("{{unclosed [[link", "{{unclosed [[link"),
        ("a  \n\n\n\nb", "a\n\nb"),
    ],
)
def test_wikitext(wikitext, text):
    assert wikipedia.text_of(wikitext, {"file", "category", "kategorie"}) == text


@given(
    st.lists(st.sampled_from([*"[]{}|<>=*'/ \n", "ref", "nowiki", "File:", "<!--", "-->", "a", "&#0;"]), max_size=60)
)
@settings(max_examples=300)
def test_wikitext_never_raises(pieces):
    assert "\0" not in wikipedia.text_of("".join(pieces), {"file"})


@pytest.mark.parametrize(("name", "pages", "skipped"), [("enwiki", 51, 56), ("itwiki", 307, 66), ("ltgwiki", 101, 94)])
def test_real_dumps(name, pages, skipped):
    path = DATA / "public" / "wikipedia" / f"{name}-pages-articles.xml.bz2"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    rows, counts = read(path)
    assert (len(rows), sum(counts.skipped.values())) == (pages, skipped)
    assert all(row["quarantine"] is None and row["published"] and row["uri"] for row in rows)
    text = "\n".join(row["text"] for row in rows)
    marks = sum(text.count(mark) for mark in ("{{", "}}", "[[", "]]", "{|", "<ref", "'''"))
    assert marks <= 20  # what the authors left unbalanced


def test_nasty_dumps():
    folder = DATA / "nasty" / "wiki"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    found = {path.name: read(path) for path in sorted(folder.iterdir())}
    rows, counts = found["multistream.xml.bz2"]
    assert len(rows) + sum(counts.skipped.values()) == 195
    assert all(row["quarantine"] is None for row in rows)
    for name, reason in [
        ("invalid_chars.xml", "not well-formed XML: "),
        ("unclosed.xml.bz2", "not well-formed XML: "),
        ("truncated.xml.bz2", "truncated bzip2 stream"),
    ]:
        rows, _ = found[name]
        assert [row["quarantine"] is None for row in rows] == [True] * (len(rows) - 1) + [False]
        assert rows[-1]["quarantine"].startswith(reason)
