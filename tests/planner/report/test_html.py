"""The page: its figures are the plan's, it asks for nothing, and what comes from outside is text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from lxml import html as lxml

from planner.report import summary
from planner.report.html import exact, render
from planner.schema import LawFigure, Plan
from planner.units import human, percent, ratio

KINDS = ["bloomberg", "tiny", "huge", "short_of_compute", "undecided", "hostile"]
VOID = {"meta", "br"}
ELEMENTS = """html head meta title style body header main section h1 h2 p ul li strong b i small span div dl dt dd data
    br table caption thead tbody tfoot tr th td figure figcaption svg g defs path use text"""
ATTRIBUTES = """lang charset name content http-equiv class role aria-label title value scope data-label style viewbox
    xmlns d id x y transform href"""


class Page(HTMLParser):
    """Elements, attributes and text of a page, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


PAGES: dict[str, str] = {}  # drawing the figures takes most of the time of these tests


def page_of(plan: Plan) -> str:
    """The page of a plan, rendered once."""
    key = plan.model_dump_json()
    if key not in PAGES:
        PAGES[key] = render(plan)
    return PAGES[key]


def _text(page: str) -> str:
    return " ".join(lxml.fromstring(page).text_content().split())


def _table(page: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its header first, as a reader sees them."""
    section = next(s for s in lxml.fromstring(page).iter("section") if s.find("h2").text == heading)
    return [[" ".join(cell.text_content().split()) for cell in row] for row in section.find("table").iter("tr")]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_one_file_that_asks_for_nothing(plans: dict[str, Plan], kind: str) -> None:
    page = Page(written := page_of(plans[kind]))
    assert not page.open
    assert page.elements <= set(ELEMENTS.split())
    assert {name for name, _ in page.attributes} <= set(ATTRIBUTES.split())
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not re.search(r"url\((?!#)", written) and "@import" not in written
    assert "default-src 'none'" in written


def test_the_verdict_and_three_numbers_come_first(bloomberg: Plan) -> None:
    root = lxml.fromstring(page_of(bloomberg))
    first = " ".join(root.find(".//header").text_content().split())
    for sentence in bloomberg.verdict.sentences:
        assert sentence in first
    assert [" ".join(b.text_content().split()) for b in root.iterfind(".//header//b")] == [
        human(bloomberg.mix.largest),
        "1.11 T",  # BloombergGPT: 1,111.1 B
        f"{human(bloomberg.run.gpu_hours)} of 1.30 M",
    ]
    titles = [data.get("title") for data in root.iterfind(".//header//b/data")]
    assert titles == [
        f"{bloomberg.mix.largest:,}",
        exact(bloomberg.laws[0].tokens),
        exact(bloomberg.run.gpu_hours),
        "1,300,000",
    ]


def test_a_plan_without_alerts_has_no_list_of_them(bloomberg: Plan) -> None:
    assert not lxml.fromstring(page_of(bloomberg.model_copy(update={"alerts": []}))).findall(".//ul")


@pytest.mark.parametrize("kind", ["bloomberg", "undecided"])
def test_a_default_utilisation_that_decides_is_said(plans: dict[str, Plan], kind: str) -> None:
    """Its band is beside the budget, and a sentence says where the band turns the verdict over."""
    plan, page = plans[kind], _text(page_of(plans[kind]))
    undecided = kind == "undecided"
    assert any("The utilisation is a default: over its band" in s for s in plan.verdict.sentences) == undecided
    first = " ".join(lxml.fromstring(page_of(plan)).find(".//header").text_content().split())
    assert ("can turn this verdict over" in first) == undecided
    assert ("The utilisation is a default, not measured" in page) == undecided
    if undecided:
        low, high = map(ratio, plan.laws[0].available_ratio_range)
        assert f"over its band the tokens are {low} to {high} times what is asked for" in first
        low, high = map(human, plan.compute.flops_range)
        assert f"not measured: {low} to {high} FLOP" in page


def test_alerts_stand_above_everything(tiny: Plan) -> None:
    header = lxml.fromstring(page_of(tiny)).find(".//header")
    assert header[0].get("class") == "alerts"
    assert [item.text_content() for item in header[0]] == [f"Note: {alert}" for alert in tiny.alerts]
    assert len(tiny.alerts) > 2


def test_the_laws_stand_side_by_side(bloomberg: Plan) -> None:
    rows = _table(page_of(bloomberg), "What the laws say")
    assert rows[0] == ["Law", "Parameters", "Tokens", "Tokens perparameter", "Limited by", "The mixaffords", "Source"]
    for law, row in zip(bloomberg.laws, rows[1:], strict=True):
        assert row == [law.law + " the plan's" * (law is bloomberg.laws[0]), *_of_law(law), law.source]
    assert rows[1][1:3] == ["53.0 B", "1.11 T"]  # BloombergGPT: 52.993 B on 1,111.1 B
    assert rows[2][1:3] == ["49.8 B", "1.18 T"]  # 49.753 B on 1,175.8 B
    short = [row[4].split()[0] for row in rows[1:]]
    assert short == ["data", "data", "data", "compute", "data"]


def _of_law(law: LawFigure) -> list[str]:
    """Parameters, tokens, tokens per parameter, what is short by how much, what the mix affords."""
    short = 1 / law.available_ratio if law.limited_by == "data" else law.available_ratio
    limit = f"{law.limited_by} x {ratio(short)}"
    return [human(law.params), human(law.tokens), ratio(law.tokens / law.params), limit, human(law.affords_params)]


def test_the_mix_has_shares_and_says_what_ends_first(bloomberg: Plan) -> None:
    mix = bloomberg.mix.model_copy(update={"binding": "press"})
    page = page_of(bloomberg.model_copy(update={"mix": mix}))
    rows = _table(page, "The mix")[1:]
    for source, row in zip(mix.sources, rows, strict=True):
        figures = [human(source.tokens), human(source.available), ratio(source.epochs)]
        name = source.source + " ends first" * (source.source == "press")
        assert row == [name, source.group, percent(source.share), *figures]
    assert rows[0][0] == "web" and "press ends first" in [row[0] for row in rows]
    widths = [float(bar.get("style")[7:-1]) for bar in lxml.fromstring(page).iterfind(".//span[@class='bar']/i")]
    assert widths == [round(100 * source.share, 2) for source in mix.sources]
    assert "all sources end together" not in _text(page) and "all sources end together" in _text(page_of(bloomberg))


@pytest.mark.parametrize("kind", ["bloomberg", "tiny", "huge", "short_of_compute", "undecided"])
def test_the_tokens_of_the_mix_are_those_of_the_run(plans: dict[str, Plan], kind: str) -> None:
    plan = plans[kind]
    section = next(s for s in lxml.fromstring(page_of(plan)).iter("section") if s.find("h2").text == "The mix")
    shown = [int(cell.find("data").get("value")) for cell in section.iterfind(".//td[@data-label='Tokens asked']")]
    assert len(shown) == 8 and sum(shown) == plan.schedule.tokens
    assert section.findall("p")[1].find("data").get("value") == str(plan.schedule.tokens)
    whole = plan.schedule.tokens / plan.mix.largest
    assert whole < 0.9 if kind in ("huge", "short_of_compute") else 0.99 < whole <= 1


def test_the_supply_adds_up_by_group(bloomberg: Plan) -> None:
    page = page_of(bloomberg)
    rows = {row[0]: row for row in _table(page, "The supply")[1:]}
    assert rows["web"][1:] == ["1.58 B", "298 B", "299 B", "42.10 %", "given: BloombergGPT arXiv:2303.17564 Table 1"]
    assert rows["financial"][1:] == ["1.76 B", "363 B", "365 B", "51.35 %", "together; 51.27 % of tokens"]
    assert rows["All"][1:4] == ["2.27 B", "709 B", "711 B"]
    assert list(rows)[4:] == ["inhouse", "financial", "pile", "c4", "wikipedia", "public", "All"]
    for exactly in ("297,800,000,000", "299,382,500,000", f"{bloomberg.supply.training_tokens:,}"):
        assert f'title="{exactly}"' in page


def test_the_compute_chain_has_every_factor_and_its_source(bloomberg: Plan) -> None:
    page = page_of(bloomberg)
    rows = _table(page, "The compute budget")[1:]
    assert [row[1] for row in rows] == ["1.30 M h", "3,600 s/h", "1", "100 TFLOP/s", "0.750", "3.51e+23"]
    factors = bloomberg.compute.factors
    assert [(row[0], row[2]) for row in rows[:-1]] == [(factor.name, factor.source) for factor in factors]
    assert rows[-1][2] == bloomberg.compute.formula
    assert f"{summary.chain(bloomberg.compute)} " in f"{_text(page)} "
    assert f"{percent(bloomberg.compute.utilisation)} of the dense peak of A100-SXM-40GB" in _text(page)


def test_model_schedule_run_and_assumptions_are_there(bloomberg: Plan) -> None:
    page = _text(page_of(bloomberg))
    model, schedule = bloomberg.model, bloomberg.schedule
    assert f"{model.layers} layers, width {model.width:,}, {model.heads} heads of {model.head_size}" in page
    assert f"Parameters{model.params:,} aimed at {human(model.target_params)}" in page  # the exact count
    assert f"{schedule.steps:,} of {schedule.batch:,} rows of 2,048 tokens" in page
    run = bloomberg.run
    assert f"{human(run.gpu_hours)} of 1.30 M on A100-SXM-40GB ({percent(run.budget_share)})" in page
    for text in (model.rule, schedule.rule, *(t for a in bloomberg.assumptions for t in (a.name, a.value, a.source))):
        assert text in page


def test_what_comes_from_outside_is_text(hostile: Plan) -> None:
    page = page_of(hostile)
    assert "<script" not in page and "\x1b" not in page and "\x07" not in page
    assert _text(page).count("<script>alert(1)</script>") > 40
    assert r"\x1b[31m[bold]" in page
    assert not any(name.startswith("on") for name, _ in Page(page).attributes)


@pytest.mark.parametrize("kind", KINDS)
def test_both_figures_are_on_the_page_and_no_id_twice(plans: dict[str, Plan], kind: str) -> None:
    page = page_of(plans[kind])
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) == 2 and all(ET.fromstring(figure) is not None for figure in figures)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert not re.search(r">\s*(nan|inf)\b", page, re.IGNORECASE)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_plans_give_equal_pages(plans: dict[str, Plan], kind: str) -> None:
    again = Plan.model_validate_json(plans[kind].model_dump_json())
    assert render(again) == render(plans[kind])
    assert render(again.model_copy(update={"name": "another"})) != render(again)


def test_text_can_be_read_in_light_and_dark(bloomberg: Plan) -> None:
    """Contrast of at least 4.5 for text on everything that it stands on (WCAG 2.1, 1.4.3)."""
    blocks = re.findall(r":root \{(.*?)\}", page_of(bloomberg), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in blocks)
    for colors in (light, light | dark):
        for text, grounds in {"ink": ("page", "tint", "alert"), "quiet": ("page", "tint")}.items():
            for ground in grounds:
                assert _contrast(colors[text], colors[ground]) >= 4.5, (text, ground)


def _contrast(one: str, other: str) -> float:
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(711_066_300_000, "711,066,300,000"), (53e9, "53,000,000,000"), (0.1, "0.1"), (3.51e23, "3.51e+23"), (1.5, "1.5")],
)
def test_exact(value: float, shown: str) -> None:
    assert exact(value) == shown
