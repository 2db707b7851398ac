"""SEC EDGAR full submissions (`.txt`, `.nc`): one record per document of a filing.

A submission is a header, then `<DOCUMENT>` ... `</DOCUMENT>` pieces: `<TYPE>`, `<SEQUENCE>`, `<FILENAME>`,
`<DESCRIPTION>` and a `<TEXT>` that holds plain text, HTML, XML or a uuencoded binary. Headers come in two styles, lines
such as `ACCESSION NUMBER:` and the tags of the dissemination feed, `<ACCESSION-NUMBER>`; some stores end the feed's
lines with CR, or not at all.
Source: Public Dissemination Service technical specification (SEC), and submissions of 1994 to 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import quote

import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text

from corpora.readers.base import MAX_RECORD_BYTES, Counts, RecordBuilder
from corpora.readers.source import Source

VERSION = 1

ARCHIVES = "https://www.sec.gov/Archives/edgar/data"
HEAD_BYTES = 64 << 10  # of a header, or of a document too long to hold: more than their tags take
SNIFF_BYTES = 8 << 10  # of a body: its first tags tell what it is
MARKER_BYTES = 64  # no marker is longer: what the end of a block may cut


@dataclass(frozen=True)
class Options:
    """What the corpus TOML may set under `[input.options]`."""

    select: tuple[str, ...] = ("*",)
    """Document types to read: shell patterns such as `10-K*` or `EX-99*`, without regard to case."""
    skip: tuple[str, ...] = ("GRAPHIC", "ZIP", "EXCEL", "JSON", "XML", "PDF", "EX-27*", "EX-101*", "EX-104*")
    """Document types to pass over even if selected: binaries, viewer files, financial data schedules, XBRL."""
    max_record_bytes: int = MAX_RECORD_BYTES
    """A longer document is quarantined and not held in memory."""


def read(source: Source, options: Options, counts: Counts) -> Iterator[pa.RecordBatch]:
    """Batches with the documents of the submissions in `source`; without any document, one quarantined record."""
    builder = RecordBuilder()
    filing, sequence = _Filing(), 0
    for stretch in _split(source.blocks(), options.max_record_bytes):
        batch = None
        if stretch.last and source.damage:
            counts.record(stretch.length)
            batch = builder.quarantine(stretch.offset, stretch.length, source.damage, **filing.columns())
        elif stretch.document:
            sequence += 1
            document = _Document.parse(stretch, sequence)
            reason = document.skip_reason(options)
            if reason:
                counts.skip(reason, stretch.length)
            else:
                counts.record(stretch.length)
                batch = _add(document, filing, options, builder)
        else:
            header = _Filing.parse(stretch.data)
            if header.accession or not sequence:
                filing, sequence = header, 0
            if stretch.last and stretch.length and not sequence:
                counts.record(stretch.length)
                batch = builder.quarantine(stretch.offset, stretch.length, "no documents", **filing.columns())
        if batch is not None:
            yield batch
    if (rest := builder.flush()) is not None:
        yield rest


class _Stretch(NamedTuple):
    """A document, or what lies between two. Stretches follow one another without gap and cover the source."""

    offset: int
    length: int
    data: bytes
    """All of it; where it is too long to hold, its beginning."""
    document: bool
    last: bool = False


# A marker begins a line, or follows another tag where the ends of lines are lost; `<TYPE>` tells it from a quotation.
_BEGIN = re.compile(rb"<DOCUMENT>(?<![^\r\n>]<DOCUMENT>)\s{0,40}<TYPE>")
_BEGIN_OR_END = re.compile(
    rb"<(?:/DOCUMENT>(?<![^\r\n>]</DOCUMENT>)"
    rb"|DOCUMENT>(?<![^\r\n>]<DOCUMENT>)\s{0,40}<TYPE>"
    rb"|/(?:SEC-DOCUMENT|IMS-DOCUMENT|SUBMISSION)>)"
)


def _split(blocks: Iterable[bytes], limit: int) -> Iterator[_Stretch]:
    """Cut a stream into stretches, the same wherever its blocks end, holding one document of up to `limit` bytes.

    A document ends with `</DOCUMENT>` or, where that is missing, before the next one or with the submission. The last
    stretch is always given, if only with 0 bytes, so that the caller can tell how the source ends.
    """
    buffer = bytearray()  # the stretch so far, less what was dropped from its middle because it is too long
    offset, dropped, document = 0, 0, False
    scanned = 0  # no marker begins before this position of the buffer

    def stretch(end: int, last: bool = False) -> _Stretch:
        length, most = end + dropped, limit if document else HEAD_BYTES
        held = end if length <= most else min(most, HEAD_BYTES)
        return _Stretch(offset, length, bytes(buffer[:held]), document, last)

    for block in blocks:
        buffer += block
        while marker := (_BEGIN_OR_END if document else _BEGIN).search(buffer, scanned):
            begins, ends = marker[0].endswith(b"<TYPE>"), marker[0] == b"</DOCUMENT>"
            end = marker.end() if ends else marker.start()
            if end:
                yield stretch(end)
            offset, dropped, document = offset + end + dropped, 0, begins
            scanned = marker.end() - end
            del buffer[:end]
        scanned = max(scanned, len(buffer) - MARKER_BYTES)
        most = limit if document else HEAD_BYTES
        keep, tail = min(most, HEAD_BYTES), len(buffer) - MARKER_BYTES - 1
        if len(buffer) + dropped > most + MARKER_BYTES and tail > keep:
            del buffer[keep:tail]
            dropped += tail - keep
            scanned = keep + 1  # one byte before the marker is looked at
    yield stretch(len(buffer), last=True)


class _Filing(NamedTuple):
    """What a header says of a submission; None where it does not."""

    accession: str | None = None
    form: str | None = None
    filed: date | None = None
    period: date | None = None
    cik: str | None = None
    company: str | None = None

    @classmethod
    def parse(cls, header: bytes) -> _Filing:
        """The first company named counts as the filer: that of an ownership report is its issuer, not the person."""
        text = _decoded(header)
        company = _COMPANY_DATA.search(text)
        start = company.end() if company else 0
        cik = _value("CENTRAL INDEX KEY", "CIK", text, start)
        return cls(
            accession=_value("ACCESSION NUMBER", "ACCESSION-NUMBER", text),
            form=_value("CONFORMED SUBMISSION TYPE", "TYPE", text),
            filed=_day(_value("FILED AS OF DATE", "FILING-DATE", text)),
            period=_day(_value("CONFORMED PERIOD OF REPORT", "PERIOD", text)),
            cik=cik.zfill(10) if cik and re.fullmatch("[0-9]{1,10}", cik) else None,
            company=_value("COMPANY CONFORMED NAME", "CONFORMED-NAME", text, start),
        )

    def columns(self) -> dict[str, str | date | None]:
        """The columns of `schema.RECORD` that all documents of the submission share."""
        return {
            "published": self.filed,
            "form": self.form,
            "period": self.period,
            "cik": self.cik,
            "company": self.company,
        }

    def uri(self, filename: str | None) -> str | None:
        """Address of a document, or of its submission where it has no name of its own (before 2000)."""
        if not self.cik or not self.accession:
            return None
        folder = f"{ARCHIVES}/{int(self.cik)}"
        if filename:
            return f"{folder}/{self.accession.replace('-', '')}/{quote(filename)}"
        return f"{folder}/{quote(self.accession)}.txt"


_COMPANY_DATA = re.compile("COMPANY DATA:|<COMPANY-DATA>")


def _value(label: str, tag: str, header: str, start: int = 0) -> str | None:
    """The first value from `start` on of `LABEL: value` or `<TAG>value`, or None where there is none or it is empty."""
    found = re.compile(rf"(?:(?:\A|[\r\n])[ \t]*{label}:|<{tag}>)([^\r\n<]*)").search(header, start)
    return found[1].strip() or None if found else None


def _day(value: str | None) -> date | None:
    """The day of `YYYYMMDD` and what may follow, or None where it is none."""
    found = re.match("([0-9]{4})([0-9]{2})([0-9]{2})", value or "")
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


_TAG = re.compile(rb"<(TYPE|SEQUENCE|FILENAME|DESCRIPTION)>([^\r\n<]*)")
_WRAPPER = re.compile(rb"\s*<(PDF|XBRL|XML)>")
_UUENCODED = re.compile(rb"\s*begin [0-7]{3,4} \S")
_HTML = re.compile(rb"<(?:!doctype\s+)?html\b", re.IGNORECASE)
_HTML_FRAGMENT = re.compile(rb"<(?:body|div|p|br|font|center|td)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_XBRL = re.compile(rb"<(?:\w+:)?xbrl[\s>]", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml\b")


class _Document(NamedTuple):
    """One `<DOCUMENT>`: what its tags say, and its body as bytes."""

    stretch: _Stretch
    type: str
    sequence: str
    filename: str | None
    description: str | None
    wrapper: bytes
    """`PDF`, `XBRL`, `XML`, or nothing."""
    body: bytes

    @classmethod
    def parse(cls, stretch: _Stretch, number: int) -> _Document:
        """The body lies between the first `<TEXT>` and the last `</TEXT>`: texts quote the tags."""
        data = stretch.data
        text = data.find(b"<TEXT>", 0, HEAD_BYTES)
        found = list(_TAG.finditer(data, 0, text if text >= 0 else SNIFF_BYTES))
        tags = {tag[1]: _decoded(tag[2]).strip() for tag in reversed(found)}  # the first of each name
        begin = text + len(b"<TEXT>") if text >= 0 else found[0].end()
        ends = [end for tag in (b"</TEXT>", b"</DOCUMENT>") if (end := data.rfind(tag, begin)) >= 0]
        wrapper = _WRAPPER.match(data, begin)
        return cls(
            stretch=stretch,
            type=tags.get(b"TYPE", ""),
            sequence=tags.get(b"SEQUENCE") or str(number),
            filename=tags.get(b"FILENAME") or None,
            description=tags.get(b"DESCRIPTION") or None,
            wrapper=wrapper[1] if wrapper else b"",
            body=data[wrapper.end() if wrapper else begin : ends[0] if ends else len(data)],
        )

    def skip_reason(self, options: Options) -> str | None:
        """Why the document is passed over, by its type and then by what its body holds; None where it is read."""
        type_ = self.type.upper()
        for pattern in options.skip:
            if fnmatchcase(type_, pattern.upper()):
                return f"type {pattern}"
        if not any(fnmatchcase(type_, pattern.upper()) for pattern in options.select):
            return "not selected"
        if self.wrapper == b"PDF":
            return "pdf"
        if _UUENCODED.match(self.body):
            return "uuencoded"
        if self.is_html():
            return None
        if self.wrapper == b"XBRL" or _XBRL.search(self.body, 0, SNIFF_BYTES):
            return "xbrl"
        return "xml" if self.wrapper or _XML.match(self.body) else None

    def is_html(self) -> bool:
        """Whether the body's beginning shows HTML: old pages lack `<html>`, and names tell nothing."""
        if _HTML.search(self.body, 0, SNIFF_BYTES):
            return True
        structured = self.wrapper or _XML.match(self.body)
        return not structured and _HTML_FRAGMENT.search(self.body, 0, SNIFF_BYTES) is not None

    def title(self) -> str | None:
        """The type, and the description where it says more: `EX-99.1` is no news beside `Exhibit 99.1`."""
        known = {"exhibit", "ex", "form", *re.findall(r"\w+", self.type.lower())}
        if self.description and not known.issuperset(re.findall(r"\w+", self.description.lower())):
            return f"{self.type}: {self.description}" if self.type else self.description
        return self.type or None


def _add(document: _Document, filing: _Filing, options: Options, builder: RecordBuilder) -> pa.RecordBatch | None:
    """Extract the document's text and add it to the builder, or the reason why there is none."""
    offset, length = document.stretch.offset, document.stretch.length
    columns = filing.columns() | {
        "native_id": f"{filing.accession}:{document.sequence}" if filing.accession else None,
        "uri": filing.uri(document.filename),
        "title": document.title(),
    }
    if length > options.max_record_bytes:
        return builder.quarantine(offset, length, f"longer than {options.max_record_bytes} bytes", **columns)
    body = _decoded(document.body)
    try:
        text = _text_of_html(body) if document.is_html() else _MARKS.sub("", body)
    except Exception as error:  # whatever a foreign parser raises on data must not stop the part
        return builder.quarantine(offset, length, f"HTML that cannot be parsed: {error}", **columns)
    return builder.add(offset, length, text, **columns)


_MARKS = re.compile(r"</?(?:PAGE|TABLE|CAPTION|S|C|FN)>", re.IGNORECASE)  # of pages and tables in plain text
_HIDDEN_FACTS = re.compile(r"<ix:header\b[^<]*+(?:<(?!/?ix:header\b)[^<]*+)*+</ix:header\s*>")
_CELL_BEGINS = re.compile(r"(<[tT][dDhH]\b[^<>]*>)(?:\s*<(?:p|div|P|DIV)\b[^<>]*>)+")
_CELL_ENDS = re.compile(r"</[pP]>(?=\s*(?:</(?:div|DIV)>\s*)*</[tT][dDhH]>)")
_PADDING = re.compile(r"(?<![ \xa0])[ \xa0]++(?=[\t\n])")
_CELLS = re.compile(r"\t[ \t\xa0]*")
_SPLIT_AMOUNT = re.compile(r"\t(?:(?<=[$€£¥(]\t)(?=[\d(.–—-])|(?<=[\d).]\t)(?=[%)]))")
_BLANK_LINES = re.compile(r"\n{3,}")


def _text_of_html(html: str) -> str:
    """Visible text, with a line for each row of a table and a tab between its cells.

    Filers wrap what a cell holds in a paragraph, which alone would give every cell a line of its own; they pad tables
    with empty cells, and set `$`, `)` and `%` apart from their numbers. Raises what the parser raises.
    """
    html = _CELL_ENDS.sub("", _CELL_BEGINS.sub(r"\1", _HIDDEN_FACTS.sub("", html)))
    text = extract_plain_text(html, preserve_formatting=True, main_content=False, alt_texts=False)
    text = _CELLS.sub("\t", _PADDING.sub("", text))
    text = _SPLIT_AMOUNT.sub("", text).replace("\t\n", "\n")
    return _BLANK_LINES.sub("\n\n", text).strip()


def _decoded(data: bytes) -> str:
    """UTF-8 if it is valid, else Windows-1252, which older filings use without saying so; without NULs."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return text.replace("\0", "")
