"""The summary: the verdict on one screen, in any width, with or without colour."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from planner.report.summary import chain, percent, print_mix, print_plan, ratio, whole
from planner.schema import Mix, Plan


def _printed(show: object, what: Plan | Mix, width: int = 80, terminal: bool = False) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, legacy_windows=False), what)
    return file.getvalue()


def _row(printed: str, name: str) -> list[str]:
    """The cells of the table row that begins with a name."""
    return re.split(r"\s{2,}", next(line for line in printed.splitlines() if line.startswith(f"{name}  ")).strip())


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("kind", ["bloomberg", "tiny", "huge"])
def test_it_fits_one_screen(plans: dict[str, Plan], kind: str, width: int) -> None:
    lines = _printed(print_plan, plans[kind], width).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_alerts_then_the_verdict_come_first(tiny: Plan) -> None:
    lines = _printed(print_plan, tiny, 200).splitlines()
    assert lines[:2] == [f"! {alert}" for alert in tiny.alerts]
    verdict = " ".join(lines[2 : lines.index("")])
    assert " ".join(verdict.split()) == " ".join(tiny.verdict.sentences)


def test_laws_and_mix_have_the_plans_figures(bloomberg: Plan) -> None:
    printed = _printed(print_plan, bloomberg)
    assert _row(printed, "chinchilla-approach-1 *") == [
        "chinchilla-approach-1 *",
        *["53.0 B", "1.11 T", "21.0", "data x 1.56", "34.0 B"],
    ]
    assert _row(printed, "kaplan")[1:5] == ["337 B", "174 B", "0.515", "compute x 4.10"]
    assert _row(printed, "web") == ["web", "financial", "42.10 %", "299 B", "299 B", "1.00"]
    assert printed.count(" *\n") == 0 and len(re.findall(r"\S \*  ", printed)) == 1
    assert all(law.law in printed for law in bloomberg.laws)
    assert all(_row(printed, source.source)[0] == source.source for source in bloomberg.mix.sources)


def test_what_the_run_is(bloomberg: Plan) -> None:
    words = " ".join(_printed(print_plan, bloomberg).split())
    shape = "48 layers, width 7,680, 60 heads of 128, FFN 20,480, 131,072 ids"
    assert f"{bloomberg.model.params:,} parameters: {shape}" in words  # the exact count
    assert "84,765 steps of 4,096 x 2,048 tokens, rate 0.000375 after 847 steps" in words
    assert "1.45e+23 FLOP, 537,792 of 1.30 M GPU-hours (41.37 %)" in words


def test_the_chain_multiplies_to_the_budget(bloomberg: Plan) -> None:
    compute = bloomberg.compute
    said = "1.30 M h x 3,600 s/h x 100 TFLOP/s x 0.75 = 3.51e+23 (2.22e+23 to 5.55e+23) FLOP"
    assert chain(compute) == f"{said}: {compute.formula}"
    neutral = compute.factors[-1].model_copy(update={"value": 1.0})
    update = {"factors": [*compute.factors[:-1], neutral], "flops_range": None}
    assert "/s = 3.51e+23 FLOP" in chain(compute.model_copy(update=update))


def test_days_are_said_where_the_gpus_are(bloomberg: Plan) -> None:
    assert " days" not in _printed(print_plan, bloomberg)
    run = bloomberg.run.model_copy(update={"days": 43.77})
    compute = bloomberg.compute.model_copy(update={"gpus": 512, "days": 105.8})
    assert "43.8 days on 512 GPUs" in _printed(
        print_plan, bloomberg.model_copy(update={"run": run, "compute": compute}), 120
    )


def test_a_mix_says_what_ends_first_and_what_repeats(bloomberg: Plan) -> None:
    printed = _printed(print_mix, bloomberg.mix)
    assert "711,066,300,000 training tokens without a repeat: all sources end together." in printed
    assert "!" not in printed
    twice = bloomberg.mix.sources[4].model_copy(update={"epochs": 2.5})
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
