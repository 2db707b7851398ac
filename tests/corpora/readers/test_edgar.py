"""EDGAR submissions: cutting, headers, what is skipped, and text, on made and on real ones."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.readers import edgar
from corpora.readers.base import Counts
from corpora.readers.source import Source

DATA = Path(__file__).parents[3].parent / "shared" / "data"

HEADER = """<SEC-DOCUMENT>0000320193-24-000005.txt : 20240201
<SEC-HEADER>0000320193-24-000005.hdr.sgml : 20240201
<ACCEPTANCE-DATETIME>20240201163033
ACCESSION NUMBER:\t\t0000320193-24-000005
CONFORMED SUBMISSION TYPE:\t8-K
CONFORMED PERIOD OF REPORT:\t20240131
FILED AS OF DATE:\t\t20240201

REPORTING-OWNER:

\tOWNER DATA:
\t\tCOMPANY CONFORMED NAME:\t\t\tDoe Jane
\t\tCENTRAL INDEX KEY:\t\t\t0001806647

FILER:

\tCOMPANY DATA:
\t\tCOMPANY CONFORMED NAME:\t\t\tApple Inc.
\t\tCENTRAL INDEX KEY:\t\t\t0000320193
PUBLIC REFERENCE ACCESSION NUMBER:\t\t0000320193-23-000106
</SEC-HEADER>
"""
FEED_HEADER = (
    "<SUBMISSION>|<ACCESSION-NUMBER>0000320193-24-000005|<TYPE>8-K|<PERIOD>20240131|<FILING-DATE>20240201|<FILER>"
    "|<COMPANY-DATA>|<CONFORMED-NAME>Apple Inc.|<CIK>0000320193|</COMPANY-DATA>|</FILER>|"
)


def document(type_: str, body: str, sequence: str = "1", tags: str = "") -> str:
    return f"<DOCUMENT>\n<TYPE>{type_}\n<SEQUENCE>{sequence}\n{tags}<TEXT>\n{body}\n</TEXT>\n</DOCUMENT>\n"


def read(path: Path, options: edgar.Options | None = None) -> tuple[list[dict], Counts]:
    """The records of a file and the counts, after a check that they agree and that no two pieces overlap."""
    counts, source = Counts(), Source(path=path.name, url=str(path))
    rows = [row for batch in edgar.read(source, options or edgar.Options(), counts) for row in batch.to_pylist()]
    assert counts.records == len(rows)
    assert counts.raw_bytes == sum(row["raw_bytes"] for row in rows)
    ends = [row["byte_offset"] + row["raw_bytes"] for row in rows]
    assert all(end <= row["byte_offset"] for end, row in zip(ends, rows[1:]))
    assert not ends or ends[-1] <= source.decoded_bytes
    assert all("\0" not in (row["text"] or "") for row in rows)
    return rows, counts


@pytest.fixture
def reads(tmp_path):
    def of(data: str | bytes, options: edgar.Options | None = None) -> tuple[list[dict], Counts]:
        path = tmp_path / "submission.txt"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return read(path, options)

    return of


COLUMNS = {
    "native_id": "0000320193-24-000005:2",
    "published": date(2024, 2, 1),
    "period": date(2024, 1, 31),
    "form": "8-K",
    "cik": "0000320193",
    "company": "Apple Inc.",
    "uri": "https://www.sec.gov/Archives/edgar/data/320193/000032019324000005/a%201.htm",
    "title": "EX-99.1: Press release",
    "text": "Hello",
}


@pytest.mark.parametrize(
    "header",
    [HEADER, *(FEED_HEADER.replace("|", end) for end in ("\n", "\r\n", "\r", ""))],
    ids=["labels", "tags", "tags-crlf", "tags-cr", "tags-one-line"],
)
def test_headers(reads, header):
    end = "\n" if "\n" in header else "\r" if "\r" in header else ""
    tags = "<FILENAME>a 1.htm\n<DESCRIPTION>Press release\n"
    documents = document("8-K", "<html>x</html>") + document("EX-99.1", "<html>Hello</html>", "2", tags)
    rows, _ = reads(header + documents.replace("\n", end))
    assert {name: rows[1][name] for name in COLUMNS} == COLUMNS


def test_without_header_or_sequence(reads):
    rows, _ = reads("<DOCUMENT>\n<TYPE>8-K\n<TEXT>\nx\n</TEXT>\n</DOCUMENT>\n")
    assert (rows[0]["native_id"], rows[0]["cik"], rows[0]["uri"], rows[0]["text"]) == (None, None, None, "\nx\n")
    rows, _ = reads(HEADER + document("8-K", "x", "") + document("EX-1", "y", ""))
    assert [row["native_id"][-2:] for row in rows] == [":1", ":2"]
    assert rows[0]["uri"] == "https://www.sec.gov/Archives/edgar/data/320193/0000320193-24-000005.txt"


def test_two_submissions_in_one_file(reads):
    second = HEADER.replace("000005", "000006")
    rows, _ = reads(HEADER + document("8-K", "x") + "</SEC-DOCUMENT>\n" + second + document("10-K", "y", ""))
    assert [row["native_id"] for row in rows] == ["0000320193-24-000005:1", "0000320193-24-000006:1"]


def test_open_documents_end_where_the_next_begins(reads):
    first, second = "<DOCUMENT>\n<TYPE>8-K\n<TEXT>\na\n", "<DOCUMENT>\n<TYPE>EX-99\n<TEXT>\nb\n"
    rows, _ = reads(HEADER + first + second + "</SEC-DOCUMENT>\n")
    assert [row["text"] for row in rows] == ["\na\n", "\nb\n"]
    assert [row["raw_bytes"] for row in rows] == [len(first), len(second)]


def test_quoted_tags_are_text(reads):
    body = "A <DOCUMENT> has a </TEXT> and an </DOCUMENT>.\n<DOCUMENT>\nwithout type\n</TEXT>\nx"
    [row], _ = reads(HEADER + document("8-K", body))
    assert row["text"] == f"\n{body}\n"


@pytest.mark.parametrize("data", ["x", HEADER, HEADER + "<DOCUMENT>\n"])
def test_submission_without_documents(reads, data):
    [row], _ = reads(data)
    assert (row["quarantine"], row["byte_offset"], row["raw_bytes"]) == ("no documents", 0, len(data))


def test_empty_file_has_no_record(reads):
    assert reads("")[0] == []


@pytest.mark.parametrize(
    ("type_", "body", "reason"),
    [
        ("GRAPHIC", "begin 644 a.jpg\nM)5\nend", "type GRAPHIC"),
        ("ex-101.ins", "<XBRL>\n<xbrl>", "type EX-101*"),
        ("EX-99.2", "begin 644 a.jpg\nM)5\nend", "uuencoded"),
        ("EX-99.2", "<PDF>\nbegin 644 a.pdf\nM)5\nend\n</PDF>", "pdf"),
        ("4", '<XML>\n<?xml version="1.0"?>\n<ownershipDocument/>\n</XML>', "xml"),
        ("13F", '<?xml version="1.0"?>\n<p>x</p>', "xml"),
        ("EX-100", "<XBRL>\n<xbrli:xbrl xmlns='x'>\n</XBRL>", "xbrl"),
    ],
)
def test_what_is_skipped(reads, type_, body, reason):
    rows, counts = reads(HEADER + document(type_, body))
    assert (rows, counts.skipped) == ([], Counter([reason]))
    assert counts.skipped_bytes[reason] == len(document(type_, body)) - 1


def test_skip_wins_over_select(reads):
    documents = "".join(document(type_, "x") for type_ in ("10-K", "EX-99.1", "EX-99.2", "EX-10"))
    rows, counts = reads(HEADER + documents, edgar.Options(select=("10-k*", "EX-99*"), skip=("EX-99.2",)))
    assert [row["title"] for row in rows] == ["10-K", "EX-99.1"]
    assert counts.skipped == {"type EX-99.2": 1, "not selected": 1}


@pytest.mark.parametrize(
    ("description", "title"),
    [("EXHIBIT 99.1", "EX-99.1"), ("EX-99.1", "EX-99.1"), ("Press <b>", "EX-99.1: Press"), ("", "EX-99.1")],
)
def test_titles(reads, description, title):
    rows, _ = reads(HEADER + document("EX-99.1", "x", tags=f"<DESCRIPTION>{description}\n"))
    assert rows[0]["title"] == title


def test_inline_xbrl(reads):
    body = (
        "<XBRL>\n<?xml version='1.0'?>\n<html><body><div style='display:none'><ix:header><ix:hidden>0000320193"
        "</ix:hidden></ix:header></div><p>Net sales <ix:nonFraction>12</ix:nonFraction></p></body></html>\n</XBRL>"
    )
    assert reads(HEADER + document("10-K", body))[0][0]["text"] == "Net sales 12"


def test_rows_of_tables_are_lines(reads):
    cells = ["<p>Net sales</p>", "<div><p>&nbsp;</p></div>", "<div>$</div>", "<P>(1,234</P>", "<p>)</p>", "12", "%", ""]
    table = "".join(f"<td>\n{cell}\n</td>" for cell in cells)
    [row], _ = reads(HEADER + document("10-K", f"<html><table><tr>{table}</tr><tr><td>Cost</td></tr></table></html>"))
    assert row["text"] == "Net sales\t$(1,234)\t12%\nCost"


def test_plain_text_keeps_its_layout(reads):
    body = "<PAGE>  12\n<TABLE>\n<CAPTION> Sales\n<S>        <C>\n  Net   1\n</TABLE>\n<FN> a < b"
    assert reads(HEADER + document("10-K", body))[0][0]["text"] == "\n  12\n\n Sales\n        \n  Net   1\n\n a < b\n"


@pytest.mark.parametrize(
    ("body", "text"), [("né — €".encode(), "né — €"), (b"\x93n\xe9\x94 \x81", "“né” \ufffd"), (b"a\0b", "ab")]
)
def test_encodings(reads, body, text):
    data = HEADER.encode() + document("10-K", "BODY").encode().replace(b"BODY", body)
    assert reads(data)[0][0]["text"].strip() == text


def test_long_documents(reads):
    long = "x" * 300_000
    documents = document("10-K", long) + document("GRAPHIC", long) + document("EX-99", "y", "3")
    rows, counts = reads(HEADER + documents, edgar.Options(max_record_bytes=100_000))
    assert [row["quarantine"] for row in rows] == ["longer than 100000 bytes", None]
    assert rows[0]["native_id"] == "0000320193-24-000005:1"
    assert rows[0]["raw_bytes"] == len(document("10-K", long)) - 1
    assert counts.skipped == {"type GRAPHIC": 1}


def test_a_long_document_is_not_held():
    blocks = [HEADER.encode() + b"<DOCUMENT>\n<TYPE>10-K\n<TEXT>\n", *[b"x" * (1 << 20)] * 64, b"\n</DOCUMENT>"]
    sizes = [len(stretch.data) for stretch in edgar._split(iter(blocks), 1 << 20)]
    assert max(sizes) <= edgar.HEAD_BYTES


def test_truncated_gzip_is_one_record_for_the_document_it_was_in(tmp_path):
    letters = random.Random(0).choices("abcdefgh ", k=60_000)
    documents = [document("10-K", "".join(letters[:20_000])), document("EX-99", "".join(letters[20_000:]), "2")]
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress((HEADER + "".join(documents)).encode())[:-4000])
    rows, _ = read(path)
    assert [row["quarantine"] for row in rows] == [None, "truncated gzip stream"]
    assert rows[1]["byte_offset"] == len(HEADER + documents[0])
    path.write_bytes(gzip.compress((HEADER + documents[0]).encode())[:-4])
    rows, _ = read(path)
    assert [row["quarantine"] for row in rows] == [None, "truncated gzip stream"]


PIECES = [
    *("<DOCUMENT>", "</DOCUMENT>", "<TYPE>", "<TEXT>", "</TEXT>", "<SEQUENCE>2", "\n", "\r\n", " ", "x", ">", "\0"),
    *("<DOCUMENT>\n<TYPE>10-K\n", "\n</DOCUMENT>\n", "</SEC-DOCUMENT>", "<html>", "begin 644 a\n", "\xff", "y" * 70),
    *("ACCESSION NUMBER: 1-2-3\n", "<CIK>7", "<XML>", "<PDF>", "GRAPHIC", "FILED AS OF DATE: 20240231\n", " " * 41),
]
STREAMS = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from(PIECES), max_size=40).map(lambda pieces: "".join(pieces).encode("latin-1")),
)


class Blocks:
    """A source made of given blocks."""

    path, damage = "made.txt", None

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted({cut % len(data) for cut in cuts} - {0} if data else ()), len(data)]
        self._blocks = [data[a:b] for a, b in pairwise(edges) if a < b]

    def blocks(self):
        yield from self._blocks


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=30), st.sampled_from([60, 150, 1 << 20]))
@settings(max_examples=600)
def test_any_stream_is_cut_the_same_wherever_its_blocks_end(data, cuts, limit):
    stretches = list(edgar._split(Blocks(data, cuts).blocks(), limit))
    assert stretches == list(edgar._split([data] if data else [], limit))
    assert sum(stretch.length for stretch in stretches) == len(data)
    position = 0
    for stretch in stretches:
        assert stretch.offset == position
        piece = data[position : position + stretch.length]
        assert piece.startswith(stretch.data)
        assert stretch.data == piece or len(piece) > min(limit, edgar.HEAD_BYTES)
        assert stretch.document == piece.startswith(b"<DOCUMENT>") or not stretch.document
        position += stretch.length

    def records(source: Blocks) -> tuple[list[dict], Counts]:
        counts = Counts()
        batches = list(edgar.read(source, edgar.Options(max_record_bytes=limit), counts))
        return [row for batch in batches for row in batch.to_pylist()], counts

    rows, counts = records(Blocks(data, cuts))
    assert (rows, counts) == records(Blocks(data, []))
    assert len(rows) == counts.records and len({row["byte_offset"] for row in rows}) == len(rows)
    assert counts.raw_bytes + sum(counts.skipped_bytes.values()) <= len(data)
    assert counts.records + sum(counts.skipped.values()) > 0 or not data


def test_real_submissions():
    folder = DATA / "filings" / "full_submissions"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    total, skipped = 0, Counter()
    for path in sorted(folder.iterdir()):
        rows, counts = read(path)
        with gzip.open(path) as file:
            data = file.read()
        assert counts.records + sum(counts.skipped.values()) == data.count(b"<DOCUMENT>"), path.name
        for row in rows:
            piece = data[row["byte_offset"] : row["byte_offset"] + row["raw_bytes"]]
            assert piece.startswith(b"<DOCUMENT>") and piece.endswith(b"</DOCUMENT>")
            assert row["quarantine"] is None and row["text"].strip()
            assert row["native_id"].startswith(path.name[:20])
            assert row["published"] and row["form"] and row["company"] and len(row["cik"]) == 10 and row["uri"]
        total += len(rows)
        skipped += counts.skipped
    assert total == 193
    assert skipped == {
        **{"type GRAPHIC": 62, "type XML": 54, "type EX-101*": 29, "type JSON": 10, "type ZIP": 10, "type EXCEL": 7},
        **{"type EX-27*": 5, "xml": 10, "pdf": 5},
    }


def test_tables_of_a_real_press_release():
    path = DATA / "filings" / "full_submissions" / "0000320193-24-000005.txt.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    text = next(row["text"] for row in read(path)[0] if row["title"].startswith("EX-99.1"))
    assert "\nTotal net sales (1)\t119,575\t117,154\n" in text
    assert "\nNet income\t$33,916\t$29,998\n" in text


def test_nasty_submissions():
    folder = DATA / "nasty" / "sgml"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    found = {path.name: read(path) for path in sorted(folder.iterdir())}
    good = {name: sum(row["quarantine"] is None for row in rows) for name, (rows, _) in found.items()}
    assert good == {
        **{"latin1_controls.txt": 1, "no_closing_tags.txt": 2, "no_header.txt": 2, "text_with_tags_inside.txt": 1},
        **{"truncated.txt.gz": 0, "uuencoded.txt.gz": 1},
    }
    assert "Business’s “quoted” — dash" in found["latin1_controls.txt"][0][0]["text"]
    assert found["truncated.txt.gz"][0][0]["quarantine"] == "truncated gzip stream"
    assert found["uuencoded.txt.gz"][1].skipped == {"type GRAPHIC": 1, "pdf": 1, "type ZIP": 1}
