"""A plan and a mix in a terminal: the verdict first, then what it rests on, on one screen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from planner.report.terminal import table, visible
from planner.schema import Compute, Factor, LawFigure, Mix, Plan
from planner.units import counted, human, percent, ratio

LONGEST = 24  # characters of a name in a table; the page and plan.json have it whole
LABEL = 9  # characters of the labels before the lines below the tables
PLAIN = ("h", "s/h")  # units that say what a factor is


def print_plan(console: Console, plan: Plan) -> None:
    """Print alerts, the verdict, laws, mix, and what model and run they come to."""
    for alert in plan.alerts:
        _say(console, f"! {visible(alert)}", "bold")
    first, *others = map(visible, plan.verdict.sentences)
    console.print(Text.assemble((first, "bold"), *(f" {sentence}" for sentence in others), overflow="fold"))
    console.print()
    console.print(_laws(plan))
    console.print()
    console.print(_mix(plan.mix))
    model, schedule = plan.model, plan.schedule
    _line(console, "compute", chain(plan.compute, sources=True))
    _line(
        console,
        "model",
        f"{model.params:,} parameters: {counted(model.layers, 'layer')}, width {model.width:,}, "
        f"{counted(model.heads, 'head')} of {model.head_size}, FFN {model.ffn:,}, {model.vocabulary:,} ids",
    )
    _line(
        console,
        "schedule",
        f"{counted(schedule.steps, 'step')} of {schedule.batch:,} x {schedule.sequence:,} tokens, "
        f"rate {schedule.peak_rate:.3g} after {counted(schedule.warmup_steps, 'step')}",
    )
    _line(console, "run", cost(plan))


def print_mix(console: Console, mix: Mix, alerts: Sequence[str] = ()) -> None:
    """Print what a mix asks of each source, how far it goes without repeats and what repeats."""
    for alert in alerts:
        _say(console, f"! {visible(alert)}", "bold")
    about = f"{visible(mix.name)} ({mix.strategy}): {visible(mix.description)}"
    _say(console, about + (f" [{visible(mix.citation)}]" if mix.citation else ""))
    console.print(_mix(mix))
    together = "all sources end together" if len(mix.sources) > 1 else "of its one source"
    ends = f"{visible(mix.binding)} ends first" if mix.binding else together
    _say(console, f"{mix.largest:,} training tokens without a repeat: {ends}.")
    if repeated := [source for source in mix.sources if source.epochs > 1]:
        each = ", ".join(f"{visible(source.source)} {ratio(source.epochs)} times" for source in repeated)
        _say(console, f"{mix.budget:,} training tokens read {each}.")


def plan_law(plan: Plan) -> LawFigure:
    """The law that the plan goes by."""
    return next((law for law in plan.laws if law.law == plan.verdict.law), plan.laws[0])


def measured(factor: Factor) -> str:
    """A factor with its unit: 1.30 M h, 100 TFLOP/s, 0.75."""
    unit = "" if factor.unit == "1" else visible(factor.unit)
    if unit.startswith("FLOP"):
        return f"{human(factor.value)}{'' if human(factor.value)[-1].isalpha() else ' '}{unit}"
    return f"{human(factor.value) if factor.value >= 1 else ratio(factor.value)} {unit}".strip()


def chain(compute: Compute, sources: bool = False) -> str:
    """The product that gave the budget: 1.30 M h x 3,600 s/h x 100 TFLOP/s (hardware FLOP/s) x ... = 3.51e+23 FLOP.

    The factors' names, as in `compute.formula`, say which of the two formulas it is; only a neutral 1 is left out.
    `sources`: of a default utilisation, say where it comes from.
    """
    parts = []
    for factor in compute.factors:
        name = visible(factor.name)
        if sources and compute.flops_range and factor is compute.factors[-1]:
            name = f"default {name.partition(',')[0]}: {_brief(visible(factor.source))}"
        parts.append(measured(factor) + ("" if factor.unit in PLAIN else f" ({name})"))
    product = " x ".join(parts)
    band = " ({} to {})".format(*map(human, compute.flops_range)) if compute.flops_range else ""
    return f"{product} = {human(compute.flops)}{band} FLOP"


def whole(value: float) -> str:
    """Parameters or tokens: laws far from where they were fitted ask for less than one."""
    return human(value) if value >= 1 else "< 1"


def limit(law: LawFigure) -> str:
    """What is short by a law, and how many times more tokens are asked for than there, or there than asked for."""
    available = law.available_ratio
    return f"{law.limited_by} x {ratio(1 / available if law.limited_by == 'data' and available else available)}"


def per_parameter(law: LawFigure) -> str:
    """Training tokens for each parameter, as the law has it for the budget."""
    return ratio(law.tokens / law.params) if law.params else ""


def cost(plan: Plan) -> str:
    """What the run costs of what there is."""
    run = plan.run
    days = f", {run.days:,.3g} days on {plan.compute.gpus:,} GPUs" if run.days and plan.compute.gpus else ""
    hours = f"{human(run.gpu_hours)} of {counted(plan.compute.gpu_hours, 'GPU-hour')} ({percent(run.budget_share)})"
    return f"{human(run.flops)} FLOP, {hours}{days}"


def _laws(plan: Plan) -> Table:
    rows = [
        [
            _marked(law.law, law.law == plan.verdict.law),
            whole(law.params),
            whole(law.tokens),
            per_parameter(law),
            limit(law),
            whole(law.affords_params),
        ]
        for law in plan.laws
    ]
    return _compact(["law (* the plan's)", "params", "tokens", "per param", "limited by", "affords"], rows, 1)


def _mix(mix: Mix) -> Table:
    rows = [
        [
            _marked(source.source, source.source == mix.binding),
            short(source.group),
            percent(source.share),
            human(source.tokens),
            human(source.available),
            ratio(source.epochs),
        ]
        for source in mix.sources
    ]
    first = "source (* ends first)" if mix.binding else "source"
    return _compact([first, "group", "share", "tokens", "available", "epochs"], rows, 2)


def _compact(columns: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> Table:
    """A table, without a rule, whose figures, words here, stand right and are never folded: columns after `names`."""
    made = table(columns, rows)
    made.box, made.padding = None, (0, 2, 0, 0)
    for column in made.columns[names:]:
        column.justify, column.no_wrap = "right", True
    return made


def _marked(name: str, mark: bool) -> str:
    return short(name) + (" *" if mark else "")


def short(name: str) -> str:
    """A name as it fits in a table: without control characters, and cut at 24 characters."""
    shown = visible(name)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _brief(text: str) -> str:
    """A text without what stands in parentheses."""
    while (shorter := re.sub(r" ?\([^()]*\)", "", text)) != text:
        text = shorter
    return text


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style, overflow="fold"))


def _line(console: Console, label: str, text: str) -> None:
    """One labelled line; what does not fit goes on below the text, not below the label."""
    grid = Table.grid(padding=0)
    grid.add_column(width=LABEL, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, Text(text))
    console.print(grid)
