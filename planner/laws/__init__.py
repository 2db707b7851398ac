"""Scaling laws: compute-optimal parameters and tokens for some training FLOPs. They disagree, so a plan shows all."""

from __future__ import annotations

import difflib

from corpora.errors import ConfigError
from planner.laws.chinchilla import approach, parametric
from planner.laws.kaplan import kaplan
from planner.laws.law import Law
from planner.laws.ratio import ratio

__all__ = ["Law", "laws", "named"]


def laws() -> tuple[Law, ...]:
    """All laws, in the order in which a plan shows them."""
    return approach(1), approach(2), parametric(), kaplan(), ratio()


def named(name: str) -> Law:
    """The law of that name. Raises ConfigError, with the nearest names, where there is none."""
    known = {law.name: law for law in laws()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known
        raise ConfigError(f"no scaling law is named {name!r}; there is {', '.join(near)}")
    return known[name]
