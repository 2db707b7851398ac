"""The archive of an invented research house: a tree of text and Markdown, one document a file, in several encodings."""

from __future__ import annotations

import codecs
from datetime import date

from corpora.sample import junk
from corpora.sample.english import ENGLISH
from corpora.sample.grammar import Writer
from corpora.sample.packing import plain
from corpora.sample.planted import File, Piece
from corpora.sample.words import day, written_out

_NOTES = 190
_REPEATED = range(10, 18)
_REVISED = range(20, 32)
_DESKS = ("credit", "equities", "macro", "rates")


def files() -> list[File]:
    """The files of the corpus."""
    notes = [_note(n) for n in range(_NOTES)]
    files = [_file(*note) for note in notes]
    # The encodings that old editors left behind, all of them readable.
    files[3] = _file(*notes[3], encoding="utf-8-sig")
    files[4] = _file(*notes[4], encoding="utf-16")
    files += [_file(f"backup/copy-of-{n}.txt", notes[n][1], "exact_duplicates_within") for n in _REPEATED]
    for n in _REVISED:
        path, text = notes[n]
        writer = Writer(ENGLISH, f"inhouse revision {n}")
        files.append(_file(f"{path}-v2.md", writer.revised(text, "research"), "near_duplicates"))
    for n in range(7):
        files.append(_file(f"sheets/curve-{n}.txt", junk.figures(Writer(ENGLISH, f"inhouse sheet {n}")), "alphabetic"))
    for n in range(5):
        text = Writer(ENGLISH, f"inhouse reminder {n}").sentence("research")
        files.append(_file(f"misc/reminder-{n}.md", text, "too_few_words"))
    latin = "Minutes of the café round, kept in the encoding of another decade.\n".encode("latin-1")
    return [
        *files,
        File("misc/minutes.txt", [Piece(latin, "quarantined", f"invalid UTF-8 at byte {latin.index(0xE9)}")], plain),
        File("misc/untitled.txt", [Piece(b"", "quarantined", "empty file")], plain),
    ]


def _note(n: int) -> tuple[str, str]:
    """Path and text of the note of number `n`: a memo in plain text or a research note in Markdown."""
    writer = Writer(ENGLISH, f"inhouse {n}")
    desk = writer.pick(_DESKS)
    written = day(date(2012, 1, 9), date(2022, 12, 12), n / _NOTES)
    folder = f"{desk}/{written:%Y}/{written:%m}"
    analysis, outlook = writer.prose("research", 640), writer.prose("markets", 330)
    title = writer.title("headline")
    if n % 3 == 0:
        head = f"MEMO\nTo: the {desk} desk\nFrom: {writer.phrase('person')}\nDate: {written_out(written)}\nRe: {title}"
        foot = [junk.contact(writer)] if n % 2 else []
        return f"{folder}/memo-{n}.txt", "\n\n".join([head, *analysis, *outlook, *foot]) + "\n"
    points = "\n".join(f"- {writer.sentence('research')}" for _ in range(4))
    body = [
        f"# {title}",
        f"*{written_out(written)}, {desk}*",
        "## Analysis",
        *analysis,
        "## Points",
        points,
        "## Outlook",
    ]
    return f"{folder}/note-{n}.md", "\n\n".join([*body, *outlook]) + "\n"


def _file(path: str, text: str, group: str = "good", encoding: str = "utf-8") -> File:
    raw = text.encode(encoding) if encoding != "utf-16" else codecs.BOM_UTF16_LE + text.encode("utf-16-le")
    return File(path, [Piece(raw, group, text=text)], plain)
