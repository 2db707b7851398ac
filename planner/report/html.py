"""The report of a plan: one HTML page that needs nothing else, to be read, sent and printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from planner.report import summary
from planner.report.terminal import visible
from planner.schema import Plan
from planner.units import human, percent, ratio

DIGITS_EXACT = 1e16  # from here on a float is exact in its shortest form only


def render(plan: Plan) -> str:
    """The page: no script, no request, equal bytes for equal plans. Text from outside is escaped."""
    from planner.report.figure import tokens_against_parameters  # half a second of matplotlib, for this alone

    return _environment().get_template("report.html.jinja").render(
        plan=plan,
        law=summary.plan_law(plan),
        budget_product=summary.chain(plan.compute),
        figures=[(name, Markup(tokens_against_parameters(plan, name == "narrow"))) for name in ("wide", "narrow")],
        measured=summary.measured,
        limit=summary.limit,
        per_parameter=summary.per_parameter,
    )  # fmt: skip


def number(value: float, show: str = "human") -> Markup:
    """A figure as people read it, exact in its title. `show`: human, whole, ratio, percent, plain."""
    forms = {
        "human": human,
        "whole": summary.whole,
        "ratio": ratio,
        "percent": percent,
        "plain": lambda value: f"{value:,}",
    }
    return Markup('<data value="{}" title="{}">{}</data>').format(value, exact(value), forms[show](value))


def glued(sentence: str) -> str:
    """A sentence whose numbers stay on one line with their units."""
    return re.sub(r"(?<=\d) (?=[MBT%](?:\W|$))", "\u00a0", sentence)


def exact(value: float) -> str:
    """Every digit of a figure, in thousands where that is exact."""
    if isinstance(value, int) or (value == int(value) and abs(value) < DIGITS_EXACT):
        return f"{int(value):,}"
    return repr(value)


def _environment() -> Environment:
    """Everything is escaped, control characters are shown, and a misspelt name is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen,
    )
    environment.filters |= {"number": number, "glued": glued}
    return environment


def _seen(value: Any) -> Any:
    return value if hasattr(value, "__html__") or not isinstance(value, str) else visible(value)
