"""The summary: the verdict on one screen, in any width, with or without colour."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from planner.report.summary import chain, print_mix, print_plan, whole
from planner.schema import LawFigure, Mix, Plan
from planner.units import human, percent, ratio

KINDS = ["bloomberg", "tiny", "huge", "short_of_compute", "undecided"]


def _printed(show: object, what: Plan | Mix, width: int = 80, terminal: bool = False) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, legacy_windows=False), what)
    return file.getvalue()


def _row(printed: str, name: str) -> list[str]:
    """The cells of the table row that begins with a name, and the star after it."""
    return re.split(r"\s{2,}", next(line for line in printed.splitlines() if line.startswith(f"{name}  ")).strip())


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("kind", KINDS)
def test_it_fits_one_screen(plans: dict[str, Plan], kind: str, width: int) -> None:
    """40 lines with two alerts; each alert more has its own lines."""
    plan = plans[kind]
    lines = _printed(print_plan, plan, width).splitlines()
    two = plan.model_copy(update={"alerts": plan.alerts[:2]})
    assert len(_printed(print_plan, two, width).splitlines()) <= 40
    assert len(lines) <= 40 + 3 * max(0, len(plan.alerts) - 2)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_alerts_then_the_verdict_come_first(tiny: Plan) -> None:
    lines = _printed(print_plan, tiny, 250).splitlines()
    alerts = len(tiny.alerts)
    assert alerts > 2 and lines[:alerts] == [f"! {alert}" for alert in tiny.alerts]
    verdict = " ".join(lines[alerts : lines.index("")])
    assert " ".join(verdict.split()) == " ".join(tiny.verdict.sentences)


def test_laws_and_mix_have_the_plans_figures(bloomberg: Plan) -> None:
    printed = _printed(print_plan, bloomberg)
    for law in bloomberg.laws:
        name = law.law + " *" * (law.law == "chinchilla-approach-1")
        assert _row(printed, name) == [name, *_of_law(law)]
    assert _row(printed, "chinchilla-approach-1 *")[1:3] == ["53.0 B", "1.11 T"]  # published: 52.993 B on 1,111.1 B
    assert _row(printed, "chinchilla-approach-2")[1:3] == ["49.8 B", "1.18 T"]  # 49.753 B on 1,175.8 B
    for source in bloomberg.mix.sources:
        figures = [human(source.tokens), human(source.available), ratio(source.epochs)]
        assert _row(printed, source.source) == [source.source, source.group, percent(source.share), *figures]
    assert printed.count(" *\n") == 0 and len(re.findall(r"\S \*  ", printed)) == 1


def _of_law(law: LawFigure) -> list[str]:
    """Parameters, tokens, tokens per parameter, what is short by how much, what the mix affords."""
    short = 1 / law.available_ratio if law.limited_by == "data" else law.available_ratio
    limit = f"{law.limited_by} x {ratio(short)}"
    return [human(law.params), human(law.tokens), ratio(law.tokens / law.params), limit, human(law.affords_params)]


def test_what_the_run_is(bloomberg: Plan) -> None:
    words = " ".join(_printed(print_plan, bloomberg).split())
    model, schedule, run = bloomberg.model, bloomberg.schedule, bloomberg.run
    shape = f"{model.layers} layers, width {model.width:,}, {model.heads} heads of {model.head_size}, FFN {model.ffn:,}"
    assert f"{model.params:,} parameters: {shape}, 131,072 ids" in words  # the exact count
    steps = f"{schedule.steps:,} steps of {schedule.batch:,} x 2,048 tokens"
    assert f"{steps}, rate {schedule.peak_rate:.3g} after {schedule.warmup_steps:,} steps" in words
    hours = f"{human(run.gpu_hours)} of 1.30 M GPU-hours ({percent(run.budget_share)})"
    assert f"run {human(run.flops)} FLOP, {hours}" in words


def test_the_chain_multiplies_to_the_budget(bloomberg: Plan) -> None:
    compute = bloomberg.compute
    rate = "1.30 M h x 3,600 s/h x 1 (1 - reserve) x 100 TFLOP/s (hardware FLOP/s)"
    assert chain(compute) == f"{rate} x 0.750 (1 / recomputation factor (full: 4/3)) = 3.51e+23 FLOP"
    assert f"compute {chain(compute)} model" in " ".join(_printed(print_plan, bloomberg).split())
    neutral = compute.factors[-1].model_copy(update={"value": 1.0})
    update = {"factors": [*compute.factors[:-1], neutral], "flops_range": None}
    assert (
        chain(compute.model_copy(update=update)) == f"{rate} x 1 (1 / recomputation factor (full: 4/3)) = 3.51e+23 FLOP"
    )


def test_a_default_utilisation_has_its_band_and_its_source(short_of_compute: Plan) -> None:
    compute = short_of_compute.compute
    default = compute.factors[-1]
    low, high = map(human, compute.flops_range)
    chained = chain(compute)
    assert f"989 TFLOP/s (dense peak) x {ratio(default.value)} (utilisation, end to end) = " in chained
    assert chained.endswith(f" = {human(compute.flops)} ({low} to {high}) FLOP")
    words = " ".join(_printed(print_plan, short_of_compute).split())
    measured = re.match(r"median step-time MFU [\d.]+ of \d+ published measurements of H100", default.source)[0]
    assert f"{ratio(default.value)} (default utilisation: {measured} x downtime factor 0.90) = " in words
    assert "mfu_anchors" in default.source and "mfu_anchors" not in words
    given = compute.model_copy(update={"flops_range": None})
    assert "default" not in chain(given, sources=True)


def test_days_are_said_where_the_gpus_are(bloomberg: Plan) -> None:
    assert " days" not in _printed(print_plan, bloomberg)
    run = bloomberg.run.model_copy(update={"days": 43.77})
    compute = bloomberg.compute.model_copy(update={"gpus": 512, "days": 105.8})
    assert "43.8 days on 512 GPUs" in _printed(
        print_plan, bloomberg.model_copy(update={"run": run, "compute": compute}), 120
    )


def test_a_mix_says_what_ends_first_and_what_repeats(bloomberg: Plan) -> None:
    printed = _printed(print_mix, bloomberg.mix)
    assert f"{bloomberg.mix.largest:,} training tokens without a repeat: all sources end together." in printed
    assert "!" not in printed
    (inhouse,) = (source for source in bloomberg.mix.sources if source.source == "inhouse")
    twice = inhouse.model_copy(update={"epochs": 2.5})
    update = {"sources": [*bloomberg.mix.sources[:4], twice], "binding": "inhouse"}
    printed = _printed(print_mix, bloomberg.mix.model_copy(update=update))
    assert _row(printed, "inhouse *")[0] == "inhouse *"
    assert "inhouse ends first" in printed and "read inhouse 2.50 times" in printed


@pytest.mark.parametrize("width", [80, 120])
def test_what_comes_from_outside_is_shown_and_not_obeyed(hostile: Plan, width: int) -> None:
    for printed in (_printed(print_plan, hostile, width), _printed(print_mix, hostile.mix, width)):
        assert r"\x1b[31m[bold]\x07" in printed
        assert not set(printed) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))
        assert max(map(len, printed.splitlines())) <= width
        assert "53.0 B" in printed or "299 B" in printed  # figures are whole, whatever the names are


def test_colour_adds_nothing(tiny: Plan) -> None:
    styled = _printed(print_plan, tiny, terminal=True)
    assert "\x1b[" in styled
    assert re.sub(r"\x1b\[[\d;]*m", "", styled) == _printed(print_plan, tiny)


@pytest.mark.parametrize(
    ("shown", "value", "expected"),
    [
        (ratio, 1.0, "1.00"),
        (ratio, 21.0, "21.0"),
        (ratio, 0.515, "0.515"),
        (ratio, 3072.6, "3,073"),
        (percent, 0.4137, "41.37 %"),
        (percent, 2e-7, "< 0.01 %"),
        (percent, 0.0, "0.00 %"),
        (whole, 0.001, "< 1"),
        (whole, 53e9, "53.0 B"),
    ],
)
def test_figures_as_people_read_them(shown: object, value: float, expected: str) -> None:
    assert shown(value) == expected
