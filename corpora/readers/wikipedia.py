"""MediaWiki export XML (the `pages-articles` dumps): one record per page, its wikitext reduced to text.

Wikitext has no grammar, but what carries no text is bracketed, so it is taken out from the innermost outwards, each
pass one regular expression that takes time linear in what it reads. The parser mwparserfromhell 0.7.2 was tried first:
1 MB/s on articles where these passes make 15-21, and time quadratic in the input, 60 s for one page of 32,000 unclosed
`<ref>`, in C code that nothing can interrupt. On 25 long articles 99.98 % of its words are also in the text made here.
Source: https://www.mediawiki.org/wiki/Help:Export (format), https://www.mediawiki.org/wiki/Help:Formatting (wikitext).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.parsers import expat

import pyarrow as pa

from corpora.readers.base import MAX_RECORD_BYTES, Counts, RecordBuilder, iso_date
from corpora.readers.source import Source

VERSION = 1

NESTING = 40  # passes over nested constructs; MediaWiki expands templates no deeper


@dataclass(frozen=True)
class Options:
    """What the corpus TOML may set under `[input.options]`."""

    namespaces: tuple[str, ...] = ("0",)
    """Keys of the namespaces to read; `0` holds the articles."""
    max_record_bytes: int = MAX_RECORD_BYTES
    """A longer page is quarantined and not held in memory."""


def read(source: Source, options: Options, counts: Counts) -> Iterator[pa.RecordBatch]:
    """Batches with the pages of `source`. From an error of the XML on, all that is left is one quarantined record."""
    builder, export = RecordBuilder(), _Export(options.max_record_bytes)
    blocks, reason = source.blocks(), None
    while reason is None and (block := next(blocks, None)):
        reason = export.feed(block)
        for page in export.taken():
            batch = _add(page, export, options, counts, builder)
            if batch is not None:
                yield batch
    for _ in blocks:
        pass  # what is lost has a length
    reason = reason or source.damage or (export.close() if source.decoded_bytes else None)
    if reason:
        lost = source.decoded_bytes - export.resume
        counts.record(lost)
        builder.quarantine(export.resume, lost, reason)
    if (rest := builder.flush()) is not None:
        yield rest


_WANTED = {
    ("mediawiki", "siteinfo", "base"): "base",
    ("mediawiki", "siteinfo", "namespaces", "namespace"): "namespace",
    ("mediawiki", "page", "title"): "title",
    ("mediawiki", "page", "ns"): "namespace",
    ("mediawiki", "page", "id"): "id",
    ("mediawiki", "page", "redirect"): "redirect",
    ("mediawiki", "page", "revision", "timestamp"): "timestamp",
    ("mediawiki", "page", "revision", "text"): "text",
}


@dataclass
class _Page:
    """A `<page>`; of several revisions the last."""

    offset: int
    length: int = 0
    values: dict[str, str] = field(default_factory=dict)
    """By the names in `_WANTED`; without the text where the page is too long."""


class _Refused(Exception):
    """XML that is not read on, for the reason in the message."""


class _Export:
    """Parses an export piece by piece and collects its pages, and what it says of its wiki."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.base = ""
        """URL before the title of a page."""
        self.unseen = {"file", "image", "media", "category"}
        """Namespaces, in lower case, whose links show no text."""
        self.resume = 0
        """Where the page being read begins, or else where the last one ended."""
        self._fed = 0
        self._path: list[str] = []
        self._page: _Page | None = None
        self._pages: list[_Page] = []
        self._key = ""  # of the namespace being named
        self._text: list[str] | None = None  # of the wanted element being read
        self._held = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = 1 << 16
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, block: bytes) -> str | None:
        """Parse another block; the reason where the export cannot be read on."""
        self._fed += len(block)
        reason = self._parse(block, False)
        if reason is None and self._fed - self._parser.CurrentByteIndex > self.limit:
            return f"longer than {self.limit} bytes"  # one token, which the parser holds whole
        return reason

    def close(self) -> str | None:
        """The reason why the export may not end here."""
        return self._parse(b"", True)

    def taken(self) -> list[_Page]:
        """The pages that ended since the last call."""
        pages, self._pages = self._pages, []
        return pages

    def _parse(self, data: bytes, last: bool) -> str | None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            return f"not well-formed XML: {expat.ErrorString(error.code)}, line {error.lineno}"
        except _Refused as refused:
            return str(refused)
        return None

    def _doctype(self, *declaration: object) -> None:
        raise _Refused("XML declares entities")  # exports have no DOCTYPE; entities can expand without bound

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if self._path == ["mediawiki", "page"]:
            self.resume = self._parser.CurrentByteIndex
            self._page, self._held = _Page(self.resume), 0
        elif len(self._path) <= 4 and tuple(self._path) in _WANTED:
            self._text, self._key = [], attributes.get("key", "")

    def _characters(self, data: str) -> None:
        if self._text is not None and self._held <= self.limit:
            self._text.append(data)
            self._held += len(data)

    def _end(self, name: str) -> None:
        if self._path == ["mediawiki", "page"] and self._page is not None:
            end = self._parser.CurrentByteIndex + len(b"</page>")
            self._page.length = end - self.resume
            self._pages.append(self._page)
            self._page, self.resume = None, end
        elif self._text is not None and len(self._path) <= 4 and (wanted := _WANTED.get(tuple(self._path))):
            self._keep(wanted, "".join(self._text))
            self._text = None
        self._path.pop()

    def _keep(self, name: str, value: str) -> None:
        if self._page is not None:
            self._page.values[name] = value
        elif name == "base":
            self.base = value.rpartition("/")[0]
        elif self._key in ("-2", "6", "14"):  # media, files, categories
            self.unseen.add(value.lower())


def _add(
    page: _Page, export: _Export, options: Options, counts: Counts, builder: RecordBuilder
) -> pa.RecordBatch | None:
    """Count a page and add it to the builder unless it is passed over."""
    values = page.values
    namespace = values.get("namespace", "0")
    if "redirect" in values:
        counts.skip("redirect", page.length)
        return None
    if namespace not in options.namespaces:
        counts.skip(f"namespace {namespace}", page.length)
        return None
    counts.record(page.length)
    title = values.get("title") or None
    path = quote(title.replace(" ", "_"), safe=";@$!*(),/~:") if title else ""
    columns = {
        "native_id": values.get("id"),
        "title": title,
        "published": iso_date(values.get("timestamp", "")),
        "uri": f"{export.base}/{path}" if export.base and path else None,
    }
    if page.length > options.max_record_bytes:
        reason = f"longer than {options.max_record_bytes} bytes"
        return builder.quarantine(page.offset, page.length, reason, **columns)
    if "text" not in values:
        return builder.quarantine(page.offset, page.length, "page without text", **columns)
    return builder.add(page.offset, page.length, text_of(values["text"], export.unseen), **columns)


# Elements whose content is not running text.
_ASIDE = (
    "ref|gallery|table|math|chem|timeline|syntaxhighlight|source|score|imagemap|graph|hiero|templatedata"
    "|mapframe|maplink"
)
_FORMATTING = (
    "a|abbr|b|bdi|bdo|big|blockquote|caption|center|cite|code|dd|del|dfn|div|dl|dt|em|font|h[1-6]|i|includeonly|ins|kbd|li"
    "|mark|noinclude|nowiki|ol|onlyinclude|p|poem|pre|q|rb|references|rp|rt|ruby|s|samp|section|small|span|strike|strong"
    "|sub|sup|tbody|td|th|tr|tt|u|ul|var|wbr"
)
_LITERAL = re.compile(r"<(nowiki|pre)\b[^<>]*(?<!/)>([^<]*+(?:<(?!/?\1\b)[^<]*+)*+)</\1\s*>", re.IGNORECASE)
_ESCAPED = {ord(character): f"&#{ord(character)};" for character in "<>[]{}|='*#:;_-"}
_ASIDES = re.compile(
    rf"<({_ASIDE})\b[^<>]*(?:/>|(?<!/)>[^<]*+(?:<(?!/?\1\b)[^<]*+)*+</\1\s*>)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\{\{\{[^{}]*+\}\}\}|\{\{(?>[^{}]+|\{[^{}]*\})*+\}\}")
_TABLE = re.compile(r"^[ \t:]*+\{\|.*\n(?:(?![ \t:]*+(?:\{\||\|\})).*\n)*+[ \t:]*+\|\}", re.MULTILINE)
_LINK = re.compile(r"\[\[([^\[\]|]*+)(?:\|((?>[^\[\]]+|\[[^\[\]]*\])*+))?\]\]")
_EXTERNAL_LINK = re.compile(r"\[(?:https?:|ftp:|mailto:|//)[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]", re.IGNORECASE)
_BREAK = re.compile(r"</?(?:br|hr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_ASIDE}|{_FORMATTING})\b[^<>]*>", re.IGNORECASE)
_SWITCH = re.compile(r"__[^\W\d_]+__")
_EMPHASIS = re.compile(r"'{2,}")
_LINE = re.compile(r"^(?:[*#:;]+[ \t]*+|-{4,}|=.*$)", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+){0,2}|simple")
_MEDIA = re.compile(
    r".*\.(?:jpe?g|png|gif|svg|tiff?|webp|xcf|og[agv]|webm|mp[34]|wav|flac|midi?|pdf|djvu)", re.IGNORECASE
)


def text_of(wikitext: str, unseen: set[str]) -> str:
    """The running text of a page: labels of links, headings and list items as lines.

    Left out are templates, tables, references, formulas, comments, and links to other languages and to the namespaces
    `unseen` (in lower case). Markup that is not balanced stays as it is.
    """
    first, *others = wikitext.split("<!--")
    text = first + "".join(other.partition("-->")[2] for other in others)
    text = _LITERAL.sub(lambda found: found[2].translate(_ESCAPED), text)
    for nested, replacement in ((_ASIDES, ""), (_TEMPLATE, ""), (_TABLE, ""), (_LINK, _label_of(unseen))):
        for _ in range(NESTING):
            text, n = nested.subn(replacement, text)
            if not n:
                break
    text = _TAG.sub("", _BREAK.sub("\n", _EXTERNAL_LINK.sub(r"\1", text)))
    text = _LINE.sub(_line, _SWITCH.sub("", text))
    text = _EMPHASIS.sub(_apostrophes, text)
    text = "\n".join(line.rstrip() for line in html.unescape(text).split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()


def _label_of(unseen: set[str]) -> Callable[[re.Match[str]], str]:
    """What a link shows, as a replacement for `_LINK`. Files are also known by their endings: dumps name no aliases."""

    def label(link: re.Match[str]) -> str:
        target, shown = link[1].strip(), link[2]
        prefix, colon, name = target.partition(":")
        if colon and prefix:
            prefix = prefix.strip()
            if prefix.lower() in unseen or _LANGUAGE.fullmatch(prefix) or _MEDIA.fullmatch(name):
                return ""
        return shown or target.removeprefix(":")

    return label


def _line(marked: re.Match[str]) -> str:
    """A heading without its signs; nothing for other marks at the beginning of a line."""
    return marked[0].strip("= \t") if marked[0].startswith("=") else ""


def _apostrophes(run: re.Match[str]) -> str:
    """Two and more are emphasis; of four, one is text."""
    return "'" if len(run[0]) == 4 else ""
