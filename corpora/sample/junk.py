"""Texts that a quality profile should drop, each for one reason, and the contact that a text may carry."""

from __future__ import annotations

from corpora.sample.grammar import Writer
from corpora.sample.words import MONTHS, PEOPLE


def menu(writer: Writer) -> str:
    """The navigation of a page, without the page: far fewer than 50 words."""
    return "\n".join(
        [
            writer.title("page_title"),
            *(writer.title("menu_entry") for _ in range(12)),
            f"{writer.phrase('count')} visitors",
        ]
    )


def symbols(writer: Writer) -> str:
    """A row of ornaments, fewer than 50 words."""
    return f"{writer.phrase('count')} " + " ".join(writer.phrase("symbol") for _ in range(30))


def letters(writer: Writer) -> str:
    """A text set in spaced letters: 80 words or more, of one letter each."""
    return " ".join(" ".join(writer.prose("everyday", 30)).replace(" ", ""))


def names_of_files(writer: Writer) -> str:
    """A listing of paths: 60 words of more than 10 characters."""
    return "\n".join(
        f"/archive/{writer.phrase('module')}/{writer.phrase('action')}-{writer.below(10**6):06}.tar" for _ in range(60)
    )


def figures(writer: Writer) -> str:
    """A table of prices: words of ordinary length, five in six of them without a letter."""
    return "\n".join(
        f"{writer.pick(MONTHS)} " + " ".join(f"{writer.below(90_000) / 100:,.2f}" for _ in range(5)) for _ in range(20)
    )


def contact(writer: Writer) -> str:
    """Whom to ask: an e-mail address and a telephone number, from the ranges reserved for fiction."""
    person = writer.pick(PEOPLE)
    address = f"{person.lower().replace(' ', '.')}@example.com"
    return f"For further questions write to {person} at {address} or call (212) 555-01{writer.below(100):02}."
