"""The figure: every law a line through its two points, everything inside of the axes, text as text."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from planner.report.figure import NARROW, WIDE, tokens_against_parameters
from planner.schema import Plan
from planner.units import human

SVG = "{http://www.w3.org/2000/svg}"
KINDS = ["bloomberg", "tiny", "huge", "short_of_compute", "undecided", "hostile"]


def _drawn(plan: Plan, narrow: bool = False) -> ET.Element:
    return ET.fromstring(tokens_against_parameters(plan, narrow))


def _classes(root: ET.Element) -> dict[str, ET.Element]:
    return {group.get("class"): group for group in root.iter(f"{SVG}g") if group.get("class")}


def _line(group: ET.Element) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", group.find(f"{SVG}path").get("d"))]
    return list(zip(numbers[::2], numbers[1::2]))


def _mark(group: ET.Element) -> tuple[float, float]:
    use = next(group.iter(f"{SVG}use"))
    return float(use.get("x")), float(use.get("y"))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_law_is_a_line_with_its_optimum_on_it(plans: dict[str, Plan], kind: str, narrow: bool) -> None:
    plan = plans[kind]
    found = _classes(_drawn(plan, narrow))
    for n, law in enumerate(plan.laws):
        (x0, y0), (x1, y1) = _line(found[f"law-{n}"])
        x, y = _mark(found[f"optimum-{n}"])
        off = abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / math.hypot(x1 - x0, y1 - y0)
        assert off < 0.01
        # Its slope: that to the model which the mix affords, in pixels of a decade.
        decade_x, decade_y = _decades(plan, found)
        right = decade_x * math.log10(law.affords_params / law.params)
        up = decade_y * math.log10(plan.mix.largest / law.tokens)
        turned = ((x1 - x0) * up - (y1 - y0) * right) / math.hypot(x1 - x0, y1 - y0) / math.hypot(right, up)
        assert abs(turned) < 0.002
    assert len({style for n in range(len(plan.laws)) if (style := _dashes(found[f"law-{n}"]))}) == 4  # and one whole


def _decades(plan: Plan, found: dict[str, ET.Element]) -> tuple[float, float]:
    """Units of the figure for ten times the parameters and for ten times the tokens, by two laws' optima."""
    n, m = (pick(range(5), key=lambda n: plan.laws[n].params) for pick in (min, max))
    (x0, y0), (x1, y1) = (_mark(found[f"optimum-{k}"]) for k in (n, m))
    few, many = plan.laws[n], plan.laws[m]
    return (x1 - x0) / math.log10(many.params / few.params), (y1 - y0) / math.log10(many.tokens / few.tokens)


def _dashes(group: ET.Element) -> str:
    return "".join(re.findall(r"stroke-dasharray: ([^;]*)", group.find(f"{SVG}path").get("style")))


def test_no_two_of_many_laws_look_alike(bloomberg: Plan) -> None:
    """Seven laws, more than there are colours: their lines differ in colour or dash, those of one colour in dash."""
    more = [law.model_copy(update={"law": f"{law.law} again", "params": 2 * law.params}) for law in bloomberg.laws[:2]]
    found = _classes(_drawn(bloomberg.model_copy(update={"laws": [*bloomberg.laws, *more]})))
    looks = [(_colour(found[f"law-{n}"]), _dashes(found[f"law-{n}"])) for n in range(7)]
    assert all(colour.startswith("var(--law-") or colour.startswith("#") for colour, _ in looks)
    assert len(set(looks)) == 7
    assert len({colour for colour, _ in looks}) == 5


def _colour(group: ET.Element) -> str:
    return re.search(r"stroke: ([^;]*)", group.find(f"{SVG}path").get("style"))[1]


def test_the_plans_law_passes_through_the_plan(bloomberg: Plan) -> None:
    """Its tokens are the mix's, its parameters what approach 1 affords: both to 0.3 %."""
    found = _classes(_drawn(bloomberg))
    (x0, y0), (x1, y1) = _line(found["law-0"])
    x, y = _mark(found["plan"])
    assert abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y) < 1
    away = bloomberg.model.model_copy(update={"params": 3 * bloomberg.model.params})
    moved, _ = _mark(_classes(_drawn(bloomberg.model_copy(update={"model": away})))["plan"])
    assert moved > x + 50


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaves_the_figure(plans: dict[str, Plan], kind: str) -> None:
    for narrow, layout in ((False, WIDE), (True, NARROW)):
        written = tokens_against_parameters(plans[kind], narrow)
        root = ET.fromstring(written)
        _, _, width, height = map(float, root.get("viewBox").split())
        assert width == layout.width
        assert not re.search(r'[" ](nan|inf)\b', written, re.IGNORECASE)
        for use in root.iter(f"{SVG}use"):
            assert 0 <= float(use.get("x")) <= width and 0 <= float(use.get("y")) <= height
        for name, group in _classes(root).items():
            if name.startswith("law-"):
                assert all(0 <= x <= width and 0 <= y <= height for x, y in _line(group))


def test_known_models_are_named_where_they_are_near(bloomberg: Plan, tiny: Plan) -> None:
    near, far = ("".join(_drawn(plan).itertext()) for plan in (bloomberg, tiny))
    for name in ("BloombergGPT 50B", "Chinchilla 70B", "GPT-3 175B", "this plan"):
        assert name in near
    assert "Chinchilla 70B" not in far and "published models" not in far and "this plan" in far


def test_names_do_not_overlap(bloomberg: Plan) -> None:
    boxes = []
    for text in _drawn(bloomberg).iter(f"{SVG}text"):
        style, wide = text.get("style"), 6.5 * len(text.text)
        left = float(text.get("x")) - wide * (0.5 if "middle" in style else 1 if "end" in style else 0)
        boxes.append((left, float(text.get("y")) - 10, left + wide, float(text.get("y")), text.text))
    assert len(boxes) > 20
    for n, (a0, b0, a1, b1, one) in enumerate(boxes):
        for c0, d0, c1, d1, other in boxes[:n]:
            assert not (a0 < c1 and c0 < a1 and b0 < d1 and d0 < b1), f"{one} covers {other}"


def test_the_key_has_the_figures(bloomberg: Plan) -> None:
    words = [text.text for text in _drawn(bloomberg).iter(f"{SVG}text")]
    assert "chinchilla-approach-1 (the plan's): 53.0 B on 1.11 T" in words  # 52.993 B on 1,111.1 B, as published
    for law in bloomberg.laws[1:]:
        assert f"{law.law}: {human(law.params)} on {human(law.tokens)}" in words
    assert f"the mix: {human(bloomberg.mix.largest)} training tokens" in words
    assert "the budget: 6 N D = 3.51e+23 FLOP" in words
    assert f"this plan: {human(bloomberg.model.params)} on {human(bloomberg.schedule.tokens)}" in words


def test_it_says_the_verdict_in_words_and_fits_where_it_is_put(bloomberg: Plan) -> None:
    root = _drawn(bloomberg)
    assert root.get("role") == "img"
    assert bloomberg.verdict.sentences[0] in root.get("aria-label")
    assert bloomberg.verdict.sentences[0] in root.find(f"{SVG}title").text
    assert root.get("width") is None and root.get("height") is None
    assert "width: 100%" in root.get("style")


def test_colours_are_the_pages(bloomberg: Plan) -> None:
    written = tokens_against_parameters(bloomberg)
    styles = [text.get("style") for text in ET.fromstring(written).iter(f"{SVG}text")]
    assert all(re.search(r"fill: (currentColor|var\(--quiet)", style) for style in styles)
    assert not re.search(r"#(000000|010101|ffffff|fefefe)", written)
    assert "<style" not in written and "<metadata" not in written and "DejaVu" not in written


def test_a_law_that_meets_the_mix_exactly_has_a_mark_and_no_line(bloomberg: Plan) -> None:
    law = bloomberg.laws[0]
    tokens = bloomberg.mix.largest
    met = law.model_copy(update={"tokens": tokens, "affords_params": law.params, "available_ratio": 1.0})
    found = _classes(_drawn(bloomberg.model_copy(update={"laws": [met, *bloomberg.laws[1:]]})))
    assert "law-0" not in found and {"optimum-0", "law-1"} <= found.keys()


def test_equal_plans_give_equal_bytes_and_nothing_global_changes(bloomberg: Plan) -> None:
    before = dict(matplotlib.rcParams)
    first, second = tokens_against_parameters(bloomberg), tokens_against_parameters(bloomberg.model_copy(deep=True))
    assert first == second
    assert dict(matplotlib.rcParams) == before
    other = set(re.findall(r' id="([^"]+)"', tokens_against_parameters(bloomberg, narrow=True)))
    assert other and not other & set(re.findall(r' id="([^"]+)"', first))  # both are on one page
