"""The markup of EDGAR: submissions in SGML, their documents in HTML, inline XBRL or plain text, and what is attached.

A document is written from blocks: a heading (str), paragraphs (list of str) or a table (`Table`).
"""

from __future__ import annotations

import binascii
import textwrap
from collections.abc import Sequence
from html import escape
from random import Random
from typing import NamedTuple, TypeAlias


class Table(NamedTuple):
    """Rows of a label and two figures, under the names of the two columns."""

    columns: tuple[str, str]
    rows: list[tuple[str, str, str]]


Block: TypeAlias = str | list[str] | Table

_FONT = 'style="font-family:Times New Roman,serif;font-size:10pt;text-indent:24pt;margin:6pt 0 6pt 0"'
_SPAN = '<span style="font-weight:400;line-height:120%">'


def document(type_: str, sequence: int, filename: str, description: str, text: str, wrapper: str = "") -> bytes:
    """A `<DOCUMENT>`; the tags of its first lines have no end, as EDGAR has it. `wrapper` is XBRL, XML or PDF."""
    if wrapper:
        text = f"<{wrapper}>\n{text}\n</{wrapper}>"
    return (
        f"<DOCUMENT>\n<TYPE>{type_}\n<SEQUENCE>{sequence}\n<FILENAME>{filename}\n<DESCRIPTION>{description}\n"
        f"<TEXT>\n{text}\n</TEXT>\n</DOCUMENT>\n"
    ).encode("ascii")


def html(title: str, blocks: Sequence[Block]) -> str:
    """Blocks as the HTML that filing agents make: a style on every tag."""
    return f"<html>\n<head>\n<title>{escape(title)}</title>\n</head>\n<body>\n{_body(blocks)}\n</body>\n</html>"


def inline_xbrl(title: str, blocks: Sequence[Block], cik: str, year: int) -> str:
    """Blocks as inline XBRL: facts tagged in place, and a hidden header of facts and contexts that nobody reads."""
    hidden = "".join(
        f'<ix:nonNumeric contextRef="c-1" name="dei:{name}" id="f-{n}">{value}</ix:nonNumeric>'
        for n, (name, value) in enumerate({"AmendmentFlag": "false", "EntityCentralIndexKey": cik}.items())
    )
    contexts = "".join(
        f'<xbrli:context id="c-{n}"><xbrli:entity><xbrli:identifier scheme="http://www.sec.gov/CIK">{cik}'
        f"</xbrli:identifier></xbrli:entity><xbrli:period><xbrli:startDate>{year - n + 1}-01-01</xbrli:startDate>"
        f"<xbrli:endDate>{year - n + 1}-12-31</xbrli:endDate></xbrli:period></xbrli:context>"
        for n in (1, 2)
    )
    return (
        "<?xml version='1.0' encoding='ASCII'?>\n"
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:ix="http://www.xbrl.org/2013/inlineXBRL" '
        'xmlns:xbrli="http://www.xbrl.org/2003/instance" xmlns:dei="http://xbrl.sec.gov/dei/2021">\n'
        f"<head><title>{escape(title)}</title></head>\n<body>\n"
        f'<div style="display:none"><ix:header><ix:hidden>{hidden}</ix:hidden><ix:resources>{contexts}'
        '<xbrli:unit id="usd"><xbrli:measure>iso4217:USD</xbrli:measure></xbrli:unit>'
        "</ix:resources></ix:header></div>\n"
        f"{_body(blocks, tagged=True)}\n</body>\n</html>"
    )


def _body(blocks: Sequence[Block], tagged: bool = False) -> str:
    lines = []
    for block in blocks:
        if isinstance(block, str):
            lines.append(f'<p style="text-align:center;font-weight:bold">{escape(block, quote=False)}</p>')
        elif isinstance(block, list):
            lines += [f"<p {_FONT}>{_SPAN}{escape(text, quote=False)}</span></p>" for text in block]
        else:
            lines.append('<table cellpadding="0" cellspacing="0" style="width:100%">')
            lines += [
                _row("", *block.columns),
                *(_row(*_tagged(row) if tagged else row) for row in block.rows),
                "</table>",
            ]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f'<td style="padding:2px;text-align:right">{cell}</td>' for cell in cells) + "</tr>"


def _tagged(row: tuple[str, str, str]) -> tuple[str, ...]:
    label, *figures = row
    name = label.title().replace(" ", "")
    facts = [
        f'<ix:nonFraction unitRef="usd" contextRef="c-{n}" decimals="-3" name="us-gaap:{name}" scale="3">{figure}'
        "</ix:nonFraction>"
        for n, figure in enumerate(figures, 1)
    ]
    return (label, *facts)


def plain(blocks: Sequence[Block]) -> str:
    """Blocks as filings of the nineties have them: 76 columns, pages, and tables with marks for their columns."""
    lines = []
    for number, block in enumerate(blocks):
        if isinstance(block, str):
            lines.append(block.upper().center(76).rstrip())
        elif isinstance(block, list):
            lines += ["\n".join(textwrap.wrap(text, 76, initial_indent="     ")) + "\n" for text in block]
        else:
            rows = [
                f"{label:<40}{first:>16}{second:>16}" for label, first, second in [("", *block.columns), *block.rows]
            ]
            lines += ["<TABLE>", "<CAPTION>", rows[0], f"<S>{'':<44}<C>{'':<13}<C>", *rows[1:], "</TABLE>"]
        if number % 4 == 3:
            lines.append("<PAGE>")
    return "\n".join(lines)


def uuencoded(filename: str, seed: str, n_bytes: int) -> str:
    """A binary file of noise, uuencoded."""
    data = Random(seed).getrandbits(8 * n_bytes).to_bytes(n_bytes, "big")
    lines = [binascii.b2a_uu(data[start : start + 45], backtick=True).decode() for start in range(0, n_bytes, 45)]
    return f"begin 644 {filename}\n{''.join(lines)}`\nend"


def xbrl_instance(cik: str, year: int, figures: Sequence[str]) -> str:
    """An XBRL instance: the figures as facts of a context."""
    facts = "\n".join(
        f'  <us-gaap:LineItem{n:03} contextRef="FY{year}" unitRef="usd" decimals="-3">{figure.replace(",", "")}000'
        f"</us-gaap:LineItem{n:03}>"
        for n, figure in enumerate(figures)
    )
    return (
        '<?xml version="1.0" encoding="US-ASCII"?>\n<xbrli:xbrl xmlns:xbrli="http://www.xbrl.org/2003/instance">\n'
        f'  <xbrli:context id="FY{year}"><xbrli:entity><xbrli:identifier scheme="http://www.sec.gov/CIK">{cik}'
        f"</xbrli:identifier></xbrli:entity></xbrli:context>\n{facts}\n</xbrli:xbrl>"
    )
