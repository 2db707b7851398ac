"""A grammar that writes sentences, and a writer who uses it.

A grammar is text: a rule's name with a colon, below it, indented, its alternatives, one a line or several with ` | `
between them. `{name}` stands for any alternative of that rule, `¶` for a line break. Nothing else is needed for prose
that is never twice the same and always the same for one seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TypeVar

_SLOT = re.compile(r"\{(\w+)\}")
T = TypeVar("T")


class Grammar:
    """Rules by name. `lists` are rules given as sequences: names, numbers and dates made by a program.

    Raises ValueError for a slot that no rule fills.
    """

    def __init__(self, *texts: str, lists: Mapping[str, Sequence[str]] | None = None) -> None:
        rules: dict[str, list[str]] = {name: list(values) for name, values in (lists or {}).items()}
        for line in "\n".join(texts).splitlines():
            if line.endswith(":") and not line.startswith(" "):
                alternatives = rules.setdefault(line[:-1], [])
            elif line.strip():
                alternatives += line.strip().replace("¶", "\n").split(" | ")
        # An alternative is compiled to literals at even places and names of rules at odd ones.
        self._rules = {name: [_SLOT.split(text) for text in texts] for name, texts in rules.items()}
        wanted = {slot for texts in self._rules.values() for parts in texts for slot in parts[1::2]}
        if missing := wanted - self._rules.keys():
            raise ValueError(f"no rule for {', '.join(sorted(missing))}")

    def expand(self, rule: str, random: Callable[[], float], about: Mapping[str, str]) -> str:
        """One text of `rule`; the slots named in `about` are filled from there."""
        if rule in about:
            return about[rule]
        return self.fill(rule, int(random() * len(self._rules[rule])), random, about)

    def alternatives(self, rule: str) -> range:
        """The numbers of the alternatives of `rule`."""
        return range(len(self._rules[rule]))

    def fill(self, rule: str, number: int, random: Callable[[], float], about: Mapping[str, str]) -> str:
        """The alternative of that number, its slots filled."""
        parts = self._rules[rule][number]
        if len(parts) == 1:
            return parts[0]
        filled = [self.expand(part, random, about) if i % 2 else part for i, part in enumerate(parts)]
        return "".join(filled)


class Writer:
    """Writes one document: the seed decides every word, `about` holds fast what the document is about.

    Draws with `Random.random` alone, the one method whose sequence Python promises to keep for a seed.
    """

    def __init__(self, grammar: Grammar, seed: str, **about: str) -> None:
        self.random = Random(seed).random
        self.about = about
        self._grammar = grammar
        self._decks: dict[str, list[int]] = {}

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return int(self.random() * n)

    def pick(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self.below(len(values))]

    def shuffled(self, values: Iterable[T]) -> list[T]:
        """The same values in another order."""
        return sorted(values, key=lambda _: self.random())

    def phrase(self, rule: str) -> str:
        """A text of `rule` as the grammar has it."""
        return self._grammar.expand(rule, self.random, self.about)

    def title(self, rule: str) -> str:
        """A text of `rule` with a capital first letter, inside a quotation mark if it begins with one.

        Every alternative of the rule has its turn before one comes again, so that neighbours differ.
        """
        deck = self._decks.get(rule) or self.shuffled(self._grammar.alternatives(rule))
        self._decks[rule] = deck
        text = self._grammar.fill(rule, deck.pop(), self.random, self.about)
        first = 2 if text.startswith('"') else 1
        return text[:first].upper() + text[first:]

    def sentence(self, rule: str) -> str:
        """A text of `rule` with a capital first letter and a full stop, unless it ends with a mark of its own."""
        text = self.title(rule)
        return text if text[-1] in ".?!:" else text + "."

    def paragraph(self, rule: str, sentences: int) -> str:
        """So many sentences of `rule`."""
        return " ".join(self.sentence(rule) for _ in range(sentences))

    def prose(self, rule: str, words: int) -> list[str]:
        """Paragraphs of `rule` with at least `words` words, and at most a paragraph more."""
        paragraphs = []
        while words > 0:
            paragraphs.append(self.paragraph(rule, 3 + self.below(4)))
            words -= paragraphs[-1].count(" ") + 1
        return paragraphs

    def revised(self, text: str, rule: str) -> str:
        """`text` as a later edition has it: one more sentence of `rule` in the paragraph in the middle."""
        paragraphs = text.split("\n\n")
        paragraphs[len(paragraphs) // 2] += " " + self.sentence(rule)
        return "\n\n".join(paragraphs)
