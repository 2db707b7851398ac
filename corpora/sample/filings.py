"""Filings as EDGAR hands them out: full submissions of every age, with exhibits, pictures and data attached.

Reports and agreements are records; press releases, pictures and data are passed over. Yearly reports of one company are
near duplicates of the one before, and drift away from those further back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from corpora.sample import junk, sgml
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.packing import gzipped, gzipped_and_cut, plain
from corpora.sample.planted import File, Piece
from corpora.sample.sgml import Block, Table
from corpora.sample.words import COMPANIES, day, written_out

_FIRST_YEARS = (1996, 1997, 2004, 2007, 2010, 2012, 2014, 2016, 2018, 2019, 2020, 2020)
_YEARS = 4
_QUARTERLY = 14
_CURRENT = 20
_SHORT = 4
_TABULAR = 2
_REFILED = 3
_COMPRESS = (gzipped, plain)

# Sections of a yearly report: heading, rule, sentences, and how many of them the next report words anew.
_SECTIONS = (
    ("Item 1. Business", "business", 56, 2),
    ("Item 1A. Risk Factors", "risk", 84, 3),
    ("Item 7. Discussion and Analysis of Results", "discussion", 60, 3),
)
_CONTROLS = [
    "Under the supervision of management, including the principal executive officer, we examined whether our "
    "disclosure controls work as intended at the end of the period, and concluded that they do.",
    "No control system can give more than reasonable assurance, because people err and because the cost of a control "
    "must be weighed against its use. There was no change in the period that affects our reporting materially.",
]
_LINES = ("Revenue", "Cost of sales", "Gross profit", "Operating expenses", "Income before tax", "Net income")


class Company(NamedTuple):
    """An invented company that files."""

    name: str
    cik: str
    sector: str
    phone: str


class Document(NamedTuple):
    """A document of a submission, and what is planted in it: the last three as in `Piece`."""

    type: str
    filename: str
    body: str
    wrapper: str = ""
    group: str = "good"
    label: str = ""
    text: str = ""


def _aside(type_: str, filename: str, body: str, wrapper: str = "", reason: str = "", text: str = "") -> Document:
    """A document that is passed over, for the reason that its type is not read unless there is another."""
    return Document(type_, filename, body, wrapper, "skipped", reason or f"type {type_}", text)


def files() -> list[File]:
    """The files of the corpus."""
    companies = [_company(n) for n in range(len(_FIRST_YEARS))]
    files = [file for company, first in zip(companies, _FIRST_YEARS) for file in _yearly_reports(company, first)]
    files += [_quarterly_report(companies[n % len(companies)], n) for n in range(_QUARTERLY)]
    files += [_current_report(companies[n % len(companies)], n) for n in range(_CURRENT)]
    files += [_current_report(companies[n % len(companies)], n, refiled=True) for n in range(_REFILED)]
    files += [_odd_report(companies[n], n, "too_few_words") for n in range(_SHORT)]
    files += [_odd_report(companies[n], _SHORT + n, "alphabetic") for n in range(_TABULAR)]
    return [*files, *_damaged(companies[0])]


def _company(n: int) -> Company:
    writer = Writer(ENGLISH, f"filings company {n}")
    sector = writer.phrase("sector")
    return Company(COMPANIES[n * 67 + 5], f"{9_990_101 + n:010}", sector, f"(212) 555-01{n + 10}")


def _submission(
    company: Company,
    form: str,
    number: int,
    period: date,
    filed: date,
    documents: list[Document],
    compress: Callable[[list[bytes]], bytes],
) -> File:
    """A file of one submission; without documents it is itself what cannot be read."""
    accession = f"{company.cik}-{filed:%y}-{number:06}"
    header = (
        f"<SEC-DOCUMENT>{accession}.txt : {filed:%Y%m%d}\n<SEC-HEADER>{accession}.hdr.sgml : {filed:%Y%m%d}\n"
        f"<ACCEPTANCE-DATETIME>{filed:%Y%m%d}161502\nACCESSION NUMBER:\t\t{accession}\n"
        f"CONFORMED SUBMISSION TYPE:\t{form}\nPUBLIC DOCUMENT COUNT:\t\t{len(documents)}\n"
        f"CONFORMED PERIOD OF REPORT:\t{period:%Y%m%d}\nFILED AS OF DATE:\t\t{filed:%Y%m%d}\n"
        f"DATE AS OF CHANGE:\t\t{filed:%Y%m%d}\n\nFILER:\n\n\tCOMPANY DATA:\t\n"
        f"\t\tCOMPANY CONFORMED NAME:\t\t\t{company.name.upper()}\n\t\tCENTRAL INDEX KEY:\t\t\t{company.cik}\n"
        f"\t\tSTANDARD INDUSTRIAL CLASSIFICATION:\t{company.sector.upper()} [{int(company.cik) % 9000:04}]\n"
        f"\t\tSTATE OF INCORPORATION:\t\t\tDE\n\t\tFISCAL YEAR END:\t\t\t1231\n\n\tFILING VALUES:\n"
        f"\t\tFORM TYPE:\t\t{form}\n\t\tSEC ACT:\t\t1934 Act\n"
        f"\t\tSEC FILE NUMBER:\t001-{int(company.cik) % 99991:05}\n\n"
        f"\tBUSINESS ADDRESS:\t\n\t\tSTREET 1:\t\t1 EXAMPLE PLAZA\n\t\tCITY:\t\t\tNEW YORK\n\t\tSTATE:\t\t\tNY\n"
        f"\t\tBUSINESS PHONE:\t\t{company.phone}\n</SEC-HEADER>\n"
    ).encode("ascii")
    pieces = [
        Piece(sgml.document(d.type, n, d.filename, d.type, d.body, d.wrapper), d.group, d.label, d.text)
        for n, d in enumerate(documents, start=1)
    ] or [Piece(b"", "quarantined", "no documents")]

    def pack(raws: list[bytes]) -> bytes:
        *before, last = [header, *raws]
        return compress([*before, last + b"</SEC-DOCUMENT>\n"])

    path = f"{filed.year}/{accession}.txt{'' if compress is plain else '.gz'}"
    return File(path, pieces, pack)


def _yearly_reports(company: Company, first_year: int) -> list[File]:
    writer = Writer(ENGLISH, f"filings 10-K {company.cik}", sector=company.sector)
    sections = {heading: [writer.sentence(rule) for _ in range(n)] for heading, rule, n, _ in _SECTIONS}
    files = []
    for year in range(first_year, first_year + _YEARS):
        if year > first_year:
            for heading, rule, n, changed in _SECTIONS:
                for _ in range(changed):
                    sections[heading][writer.below(n)] = writer.sentence(rule)
        table = _table(writer, year)
        blocks: list[Block] = ["Form 10-K", *_cover(company, f"fiscal year ended December 31, {year}")]
        for heading, sentences in sections.items():
            blocks += [heading, [" ".join(sentences[start : start + 4]) for start in range(0, len(sentences), 4)]]
        blocks += ["Item 8. Selected Figures, in Thousands", table, "Item 9A. Controls and Procedures", _CONTROLS]
        group = "near_duplicates" if year > first_year else "good"
        documents = _yearly_documents(company, year, blocks, group, writer)
        filed = date(year + 1, 2, 10) + timedelta(days=writer.below(45))
        files.append(_submission(company, "10-K", 1, date(year, 12, 31), filed, documents, _COMPRESS[year % 2]))
    return files


def _yearly_documents(company: Company, year: int, blocks: list[Block], group: str, writer: Writer) -> list[Document]:
    """The report as its year had it, plain, HTML or inline XBRL, and what came with it."""
    title, stem = f"{company.name} 10-K", f"{company.name.split()[0].lower()}-{year}1231"
    if year < 2001:
        return [Document("10-K", f"{stem}.txt", sgml.plain(blocks), group=group, text=_text(blocks))]
    inline = year >= 2019
    body = sgml.inline_xbrl(title, blocks, company.cik, year) if inline else sgml.html(title, blocks)
    main = Document("10-K", f"{stem}.htm", body, "XBRL" if inline else "", group, text=_text(blocks))
    documents = [main, _aside("GRAPHIC", f"{stem}_g1.jpg", sgml.uuencoded(f"{stem}_g1.jpg", stem, 9000))]
    if year < 2010 or inline:
        terms: list[Block] = ["Exhibit 10.1", "Credit Agreement", writer.prose("law", 350)]
        documents.append(Document("EX-10.1", "ex10-1.htm", sgml.html("Credit Agreement", terms), text=_text(terms)))
    if year >= 2010:
        figures = [f"{writer.below(900_000) + 1000}" for _ in range(400)]
        instance = sgml.xbrl_instance(company.cik, year, figures)
        documents.append(_aside("EX-101.INS", f"{stem}.xml", instance, "XBRL", reason="type EX-101*"))
    if inline:
        rendered = sgml.html("Consolidated Figures", [_table(writer, year)])
        data = sgml.uuencoded(f"{stem}-xbrl.zip", f"{stem} zip", 4000)
        documents += [_aside("XML", "R2.htm", rendered, "XML"), _aside("ZIP", f"{stem}-xbrl.zip", data)]
    return documents


def _quarterly_report(company: Company, n: int) -> File:
    writer = Writer(ENGLISH, f"filings 10-Q {n}", sector=company.sector)
    year, quarter = 2009 + n, n % 3 + 1
    period = date(year, 3 * quarter, 30)
    blocks: list[Block] = [
        "Form 10-Q",
        *_cover(company, f"quarterly period ended {written_out(period)}"),
        "Item 1. Condensed Figures, in Thousands",
        _table(writer, year),
        "Item 2. Discussion and Analysis of Results",
        writer.prose("discussion", 480),
        "Item 4. Controls and Procedures",
        _CONTROLS,
    ]
    filed = period + timedelta(days=25 + writer.below(15))
    main = Document("10-Q", f"q{quarter}-{year}.htm", sgml.html(f"{company.name} 10-Q", blocks), text=_text(blocks))
    return _submission(company, "10-Q", 100 + n, period, filed, [main], _COMPRESS[n % 2])


def _current_report(company: Company, n: int, refiled: bool = False) -> File:
    """The current report of number `n`; filed again it has another accession number, and the same main document."""
    writer = Writer(ENGLISH, f"filings 8-K {n}", company=company.name, sector=company.sector)
    filed = day(date(2003, 2, 3), date(2023, 11, 30), n / _CURRENT)
    blocks: list[Block] = [
        "Form 8-K",
        company.name,
        "Item 2.02 Results of Operations and Financial Condition",
        writer.prose("results" if n % 2 else "deal", 110),
        "Item 9.01 Exhibits",
        ["The press release of the same day is attached as Exhibit 99.1 and is not deemed to be filed with it."],
    ]
    release: list[Block] = [writer.title("announcement"), [*writer.prose("results", 330), junk.contact(writer)]]
    plain_text = n % 5 == 0
    documents = [
        Document(
            "8-K",
            f"form8k-{n}.htm",
            sgml.html(f"{company.name} 8-K", blocks),
            group="exact_duplicates_within" if refiled else "good",
            text=_text(blocks),
        ),
        _aside(
            "EX-99.1",
            f"ex99-{n}.{'txt' if plain_text else 'htm'}",
            sgml.plain(release) if plain_text else sgml.html("Press Release", release),
            reason="type EX-99*",
            text=_text(release),
        ),
    ]
    if n % 6 == 1:
        documents.append(_aside("GRAPHIC", f"logo-{n}.gif", sgml.uuencoded(f"logo-{n}.gif", f"logo {n}", 2500)))
    number, filed_again = 200 + n + 50 * refiled, filed + timedelta(days=9 * refiled)
    return _submission(company, "8-K", number, filed, filed_again, documents, _COMPRESS[n % 2])


def _odd_report(company: Company, n: int, group: str) -> File:
    """A current report with a main document that a profile should drop."""
    writer = Writer(ENGLISH, f"filings odd {n}", company=company.name)
    filed = date(2011, 4, 4) + timedelta(days=91 * n)
    text = writer.sentence("announcement") if group == "too_few_words" else junk.figures(writer)
    document = Document("8-K", f"form8k-odd-{n}.txt", text, group=group, text=text)
    return _submission(company, "8-K", 300 + n, filed, filed, [document], _COMPRESS[n % 2])


def _damaged(company: Company) -> list[File]:
    """No documents, a document that is a scanned page, one that is cut off in the middle, a file without a byte."""
    filed = date(2021, 6, 30)
    scan = _aside("8-K", "scan.pdf", sgml.uuencoded("scan.pdf", "scan", 3000), "PDF", reason="pdf")
    letter = sgml.html("8-K", [Writer(ENGLISH, "filings letter").prose("results", 300)])
    cut = Document("8-K", "form8k.htm", letter, group="quarantined", label="truncated gzip stream")
    cases = ([], plain), ([scan], plain), ([cut], gzipped_and_cut)
    files = [
        _submission(company, "8-K", 400 + n, filed, filed, documents, compress)
        for n, (documents, compress) in enumerate(cases)
    ]
    empty = Piece(b"", "quarantined", "empty file")
    return [*files, File(f"{filed.year}/{company.cik}-{filed:%y}-000499.txt", [empty], plain)]


def _cover(company: Company, period: str) -> list[Block]:
    return [
        company.name,
        [
            f"Report of {company.name} for the {period}. The company is incorporated in Delaware, its offices are at 1 "
            f"Example Plaza, New York, and its telephone number is {company.phone}."
        ],
    ]


def _table(writer: Writer, year: int) -> Table:
    rows = [(line, f"{writer.below(90_000) + 1000:,}", f"{writer.below(90_000) + 1000:,}") for line in _LINES]
    return Table((f"{year}", f"{year - 1}"), rows)


def _text(blocks: list[Block]) -> str:
    paragraphs = [block if isinstance(block, list) else [block] for block in blocks if not isinstance(block, Table)]
    return "\n".join(text for block in paragraphs for text in block)
