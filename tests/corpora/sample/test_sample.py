"""The sample is the same every time, and holds what it says: counted again here, by slow parsers of the test's own."""

from __future__ import annotations

import bz2
import html
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import zstandard

from corpora.sample import CORPORA, PLANTED, write_sample
from corpora.sample.planted import CONTACTS, COOKIES, HOSTILE, SCRIPT


class Found(NamedTuple):
    """A piece found in a raw file: a text, or why there is none."""

    text: str = ""
    skipped: str = ""
    quarantined: str = ""
    title: str = ""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample")
    write_sample(root)
    return root


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, list[Found]]:
    return {corpus: list(_pieces(root, corpus)) for corpus in CORPORA}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _decoded(path: Path) -> tuple[bytes, bool]:
    """The bytes of a file, and whether it ends too early."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        decoder = zlib.decompressobj(wbits=31)
        return decoder.decompress(raw), not decoder.eof
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw), False
    return (bz2.decompress(raw) if path.suffix == ".bz2" else raw), False


def _pieces(root: Path, corpus: str) -> Iterator[Found]:
    for path in _files(root / corpus):
        data, cut = _decoded(path)
        if corpus == "filings":
            yield from _submission(data, cut, press=False)
        elif corpus == "wikipedia":
            yield from _export(data)
        elif corpus == "inhouse":
            yield _plain(data)
        else:
            yield from _lines(data, cut)
    if corpus == "press":
        for path in _files(root / "filings"):
            yield from _submission(*_decoded(path), press=True)


def _lines(data: bytes, cut: bool) -> Iterator[Found]:
    *lines, rest = data.split(b"\n")
    for line in lines:
        if not line.strip():
            yield Found(skipped="blank line")
            continue
        try:
            record = json.loads(line.decode())
        except UnicodeDecodeError:
            yield Found(quarantined="invalid UTF-8")
        except json.JSONDecodeError:
            yield Found(quarantined="not JSON")
        else:
            text = record.get("text")
            yield Found(quarantined="no text") if text is None else Found(text, title=record.get("title", ""))
    assert bool(rest) == cut
    if cut:
        yield Found(quarantined="truncated gzip stream")


def _submission(data: bytes, cut: bool, press: bool) -> Iterator[Found]:
    if not data:
        yield Found(quarantined="empty file")
        return
    head, *documents = data.decode("ascii").split("<DOCUMENT>\n")
    if not cut:
        assert f"PUBLIC DOCUMENT COUNT:\t\t{len(documents)}\n" in head
    if not documents:
        yield Found(quarantined="no documents")
    for number, document in enumerate(documents, start=1):
        if cut and number == len(documents):
            yield Found(quarantined="truncated gzip stream")
            continue
        type_, body = re.fullmatch(
            r"<TYPE>(\S+)\n.*?<TEXT>\n(.*)</TEXT>\n</DOCUMENT>\n.*", document, re.DOTALL
        ).groups()
        pattern = re.sub("^(EX-99|EX-101).*", r"\1*", type_)
        if type_ in ("GRAPHIC", "ZIP", "XML") or pattern == "EX-101*" or (pattern == "EX-99*" and not press):
            yield Found(skipped=f"type {pattern}")
        elif press and pattern != "EX-99*":
            yield Found(skipped="not selected")
        elif body.startswith("<PDF>"):
            yield Found(skipped="pdf")
        else:
            body = re.sub(r"<head>.*?</head>|<ix:header>.*?</ix:header>", "", body, flags=re.DOTALL)
            body = re.sub(r"<(?:/p|/td|/tr)>", "\n", body)
            yield Found(html.unescape(re.sub(r"<[^>]*>", "", body)).strip())


def _export(data: bytes) -> Iterator[Found]:
    space = "{http://www.mediawiki.org/xml/export-0.11/}"
    for page in ElementTree.fromstring(data).iter(f"{space}page"):
        namespace, text = page.findtext(f"{space}ns"), page.findtext(f"{space}revision/{space}text")
        if page.find(f"{space}redirect") is not None:
            yield Found(skipped="redirect")
        elif namespace != "0":
            yield Found(skipped=f"namespace {namespace}")
        elif text is None:
            yield Found(quarantined="page without text")
        else:
            yield Found(_unwiki(text), title=page.findtext(f"{space}title"))


def _unwiki(text: str) -> str:
    text = re.sub(r"<ref[^>]*/>|<ref.*?</ref>|\{\|.*?\|\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{\{[^{}]*\}\}|\[\[(?:File|Category):[^\]]*\]\]|'{2,}|={2,}", "", text)
    return re.sub(r"\[\[(?:[^\]|]*\|)?([^\]|]*)\]\]", r"\1", text).strip()


def _plain(data: bytes) -> Found:
    if not data:
        return Found(quarantined="empty file")
    try:
        return Found(data.decode("utf-16" if data.startswith(b"\xff\xfe") else "utf-8-sig"))
    except UnicodeDecodeError as error:
        return Found(quarantined=f"invalid UTF-8 at byte {error.start}")


def _failed_rule(text: str) -> str | None:
    words = text.split()
    if len(words) < 50:
        return "too_few_words"
    if not 3 <= sum(map(len, words)) / len(words) <= 10:
        return "word_length"
    if sum(any(map(str.isalpha, word)) for word in words) < 0.8 * len(words):
        return "alphabetic"
    return None


def _texts(pieces: list[Found]) -> list[str]:
    return [piece.text for piece in pieces if not piece.skipped and not piece.quarantined]


def _language(text: str) -> str:
    words = set(text.lower().split())
    common = {
        "de": {"die", "der", "und"},
        "es": {"el", "la", "los"},
        "fr": {"la", "le", "les"},
        "la": {"lorem", "ipsum", "dolor"},
        "ru": {"что", "и", "с", "до", "в"},
        "en": {"the", "of", "and", "a", "in"},
    }
    return max(common, key=lambda code: len(common[code] & words) / len(common[code]))


def _near_duplicates(texts: set[str]) -> int:
    """Texts less the groups that they form by a Jaccard index of their shingles of at least 0.8."""
    shingles, by_sketch, leader = [], {}, {}

    def head(n: int) -> int:
        while leader[n] != n:
            n = leader[n]
        return n

    for n, text in enumerate(sorted(texts)):
        words = [zlib.crc32(word.encode()) for word in text.split()]
        mine = set(map(hash, zip(words, words[1:], words[2:], words[3:], words[4:])))
        sketch = nsmallest(8, mine)
        leader[n] = n
        for other in {other for key in sketch for other in by_sketch.get(key, ())}:
            theirs = shingles[other]
            both = len(mine & theirs)
            if both >= 0.8 * (len(mine) + len(theirs) - both):
                leader[head(other)] = head(n)
        for key in sketch:
            by_sketch.setdefault(key, []).append(n)
        shingles.append(mine)
    return len(texts) - len({head(n) for n in leader})


def test_two_writes_are_equal_and_no_corpus_depends_on_another(root: Path, tmp_path: Path) -> None:
    for corpus in reversed(CORPORA):
        write_sample(tmp_path / corpus, [corpus])
        first, second = root / corpus, tmp_path / corpus / corpus
        paths = [path.relative_to(first) for path in _files(first)]
        assert paths == [path.relative_to(second) for path in _files(second)]
        assert all((first / path).read_bytes() == (second / path).read_bytes() for path in paths)


def test_what_is_there_is_left_alone_and_nothing_else_remains(tmp_path: Path) -> None:
    write_sample(tmp_path, ["inhouse"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_sample(tmp_path, ["inhouse"])
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert [path.name for path in tmp_path.iterdir()] == ["inhouse"]


def test_another_version_is_replaced_whole(tmp_path: Path) -> None:
    write_sample(tmp_path, ["press"])
    (tmp_path / "press/.complete").write_text("0")
    (tmp_path / "press/of-the-old-version.jsonl.gz").touch()
    write_sample(tmp_path, ["press"])
    assert [path.name for path in _files(tmp_path / "press")] == [f"wire-{n}.jsonl.gz" for n in range(4)]


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    (tmp_path / "news/real.jsonl").write_text("{}\n")
    with pytest.raises(FileExistsError, match="not the sample's"):
        write_sample(tmp_path, ["news"])
    assert [path.name for path in tmp_path.iterdir()] == ["news"]


def test_unknown_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="books"):
        write_sample(tmp_path, ["books"])
    with pytest.raises(KeyError):
        PLANTED["books"]


def test_size(root: Path) -> None:
    sizes = {corpus: sum(len(_decoded(path)[0]) for path in _files(root / corpus)) for corpus in CORPORA}
    assert 10e6 < sum(sizes.values()) < 20e6
    assert all(1e6 < size < 5e6 for size in sizes.values())
    assert max(sizes, key=sizes.get) == "filings"


@pytest.mark.parametrize("corpus", CORPORA)
def test_pieces(root: Path, found: dict[str, list[Found]], corpus: str) -> None:
    planted, pieces = PLANTED[corpus], found[corpus]
    assert planted.containers == len(_files(root / corpus)) + (
        len(_files(root / "filings")) if corpus == "press" else 0
    )
    assert planted.records == sum(not piece.skipped for piece in pieces)
    assert planted.skipped == Counter(piece.skipped for piece in pieces if piece.skipped)
    assert planted.quarantined == Counter(piece.quarantined for piece in pieces if piece.quarantined)
    assert sum(planted.quarantined.values()) <= 8


@pytest.mark.parametrize("corpus", CORPORA)
def test_rules_drop_what_was_planted_and_nothing_near_their_limits(found: dict[str, list[Found]], corpus: str) -> None:
    planted, texts = PLANTED[corpus], _texts(found[corpus])
    failed = Counter(_failed_rule(text) for text in texts)
    assert failed["too_few_words"] == planted.too_few_words
    assert failed["word_length"] == planted.word_length
    assert failed["alphabetic"] == planted.alphabetic
    for text in texts:
        words = text.split()
        if _failed_rule(text) is None:
            assert 80 <= len(words) <= 5000
            assert 3.8 < sum(map(len, words)) / len(words) < 9
            assert sum(any(map(str.isalpha, word)) for word in words) > 0.85 * len(words)


@pytest.mark.parametrize("corpus", CORPORA)
def test_copies(found: dict[str, list[Found]], corpus: str) -> None:
    planted, texts = PLANTED[corpus], _texts(found[corpus])
    assert len(texts) - len(set(texts)) == planted.exact_duplicates_within
    higher = CORPORA[: CORPORA.index(corpus)]
    across = {name: len(set(texts) & set(_texts(found[name]))) for name in higher}
    assert {name: n for name, n in across.items() if n} == planted.exact_duplicates_across
    assert _near_duplicates({text for text in texts if _failed_rule(text) is None}) == planted.near_duplicates


@pytest.mark.parametrize("corpus", CORPORA)
def test_languages_contacts_and_oddities(found: dict[str, list[Found]], corpus: str) -> None:
    planted, texts = PLANTED[corpus], _texts(found[corpus])
    languages = Counter(_language(text) for text in texts if _failed_rule(text) is None)
    del languages["en"]
    assert languages == planted.other_languages
    assert planted.personal_data == sum(any(mark in text for mark in CONTACTS) for text in texts)
    assert planted.boilerplate == sum(COOKIES in text for text in texts)
    hostile = sum(any(mark in text for mark in HOSTILE) for text in texts)
    assert planted.hostile == hostile + sum(SCRIPT in piece.title for piece in found[corpus])
