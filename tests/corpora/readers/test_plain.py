"""Plain text: encodings, titles, and what is not text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from corpora.readers import plain
from corpora.readers.base import Counts
from corpora.readers.source import Source

DATA = Path(__file__).parents[3].parent / "shared" / "data"


def rows_of(path: Path, options: plain.Options | None = None) -> list[dict]:
    """The records of a file, after a check that they are what the reader counted."""
    counts = Counts()
    batches = list(plain.read(Source(path=path.name, url=str(path)), options or plain.Options(), counts))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert counts.records == len(rows) <= 1
    assert counts.raw_bytes == sum(row["raw_bytes"] for row in rows)
    return rows


def row_of(tmp_path: Path, data: bytes, options: plain.Options | None = None) -> dict:
    path = tmp_path / "letter.txt"
    path.write_bytes(data)
    [row] = rows_of(path, options)
    assert (row["byte_offset"], row["native_id"]) == (0, "letter.txt")
    return row


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_names_the_encoding(tmp_path, encoding):
    data = "Gewinn: 12 €".encode(encoding)
    row = row_of(tmp_path, data)
    assert (row["text"], row["raw_bytes"], row["title"]) == ("Gewinn: 12 €", len(data), "letter")


def test_big_endian_mark(tmp_path):
    assert row_of(tmp_path, b"\xfe\xff" + "né".encode("utf-16-be"))["text"] == "né"


def test_encoding_of_files_without_a_mark(tmp_path):
    assert row_of(tmp_path, b"d\xe9j\xe0", plain.Options(encoding="latin-1"))["text"] == "déjà"
    assert row_of(tmp_path, "né".encode("utf-16-le"), plain.Options(encoding="utf-16-le"))["text"] == "né"


@pytest.mark.parametrize("encoding", ["no-such-codec", "base64"])
def test_encoding_must_be_one_of_text(encoding):
    with pytest.raises(LookupError):
        plain.Options(encoding=encoding)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"abc\xff", "invalid UTF-8 at byte 3"),
        (b"\xef\xbb\xbfabc\xff", "invalid UTF-8 at byte 6"),
        (b"\xff\xfea\x00b", "invalid UTF-16-LE at byte 4"),
        (b"abc\x00", "binary"),
        (b"PK\x03\x04\x00\xff", "binary"),
    ],
)
def test_what_is_not_text_is_quarantined(tmp_path, data, reason):
    row = row_of(tmp_path, data)
    assert (row["text"], row["quarantine"], row["raw_bytes"]) == (None, reason, len(data))


def test_first_heading_is_the_title(tmp_path):
    assert row_of(tmp_path, b"by line\n\n# The  Title\n# Second\n")["title"] == "The  Title"
    assert row_of(tmp_path, b"#hashtag\n## sub\n")["title"] == "letter"
    assert row_of(tmp_path, b"x" * plain.HEADING_WITHIN + b"\n# Late\n")["title"] == "letter"


def test_lone_surrogates_do_not_stop_the_reader(tmp_path):
    row = row_of(tmp_path, b"# \\ud800", plain.Options(encoding="raw_unicode_escape"))
    assert (row["text"], row["title"]) == ("# ?", "?")


def test_empty_file_has_no_record(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    assert rows_of(tmp_path / "empty.txt") == []


def test_longer_than_the_limit(tmp_path):
    options = plain.Options(max_record_bytes=10)
    assert row_of(tmp_path, b"x" * 10, options)["quarantine"] is None
    assert row_of(tmp_path, b"x" * 11, options)["quarantine"] == "larger than 10 bytes"


def test_truncated_gzip(tmp_path):
    row = row_of(tmp_path, gzip.compress(bytes(range(256)) * 40)[:200])
    assert row["quarantine"] == "truncated gzip stream"


def test_nasty_files():
    folder = DATA / "nasty" / "text"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    reasons = {path.name: rows_of(path) and rows_of(path)[0]["quarantine"] for path in sorted(folder.iterdir())}
    assert reasons["empty.txt"] == []
    assert reasons["binary.txt"] == reasons["nul_bytes.txt"] == reasons["zip_named.txt"] == "binary"
    assert reasons["shift_jis.txt"] == "invalid UTF-8 at byte 0"
    for name in ("utf16le_bom.txt", "utf8_bom.txt", "cr_only.txt", "no_newline_5MB.txt.zst", "zalgo_rtl_emoji.txt"):
        assert reasons[name] is None
