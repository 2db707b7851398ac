"""The page: its figures are the plan's, it asks for nothing, and what comes from outside is text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from lxml import html as lxml

from planner.report.html import exact, render
from planner.schema import Plan

KINDS = ["bloomberg", "tiny", "huge", "hostile"]
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


def _text(page: str) -> str:
    return " ".join(lxml.fromstring(page).text_content().split())


def _table(page: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, as a reader sees them."""
    section = next(s for s in lxml.fromstring(page).iter("section") if s.find("h2").text == heading)
    return [[" ".join(cell.text_content().split()) for cell in row] for row in section.find("table").iter("tr")][1:]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_one_file_that_asks_for_nothing(plans: dict[str, Plan], kind: str) -> None:
    page = Page(written := render(plans[kind]))
    assert not page.open
    assert page.elements <= set(ELEMENTS.split())
    assert {name for name, _ in page.attributes} <= set(ATTRIBUTES.split())
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not re.search(r"url\((?!#)", written) and "@import" not in written
    assert "default-src 'none'" in written


def test_the_verdict_and_three_numbers_come_first(bloomberg: Plan) -> None:
    root = lxml.fromstring(render(bloomberg))
    first = " ".join(root.find(".//header").text_content().split())
    for sentence in bloomberg.verdict.sentences:
        assert sentence in first
    assert [" ".join(b.text_content().split()) for b in root.iterfind(".//header//b")] == [
        "711 B",
        "1.11 T",
        "537,792 of 1.30 M",
    ]
    titles = [data.get("title") for data in root.iterfind(".//header//b/data")]
    assert titles[0] == f"{bloomberg.mix.largest:,}" and titles[1] == "1,111,100,000,000"
    assert not root.findall(".//ul")


def test_alerts_stand_above_everything(tiny: Plan) -> None:
    header = lxml.fromstring(render(tiny)).find(".//header")
    assert header[0].get("class") == "alerts"
    assert [alert in item.text_content() for alert, item in zip(tiny.alerts, header[0])] == [True, True]


def test_the_laws_stand_side_by_side(bloomberg: Plan) -> None:
    rows = _table(render(bloomberg), "What the laws say")
    assert [row[-1] for row in rows] == [law.source for law in bloomberg.laws]
    assert rows[0][:6] == ["chinchilla-approach-1 the plan's", "53.0 B", "1.11 T", "21.0", "data x 1.56", "34.0 B"]
    assert rows[3][:5] == ["kaplan", "337 B", "174 B", "0.515", "compute x 4.10"]


def test_the_mix_has_shares_and_says_what_ends_first(bloomberg: Plan) -> None:
    mix = bloomberg.mix.model_copy(update={"binding": "press"})
    page = render(bloomberg.model_copy(update={"mix": mix}))
    rows = _table(page, "The mix")
    assert rows[0] == ["web", "financial", "42.10 %", "299 B", "299 B", "1.00"]
    assert rows[3][0] == "press ends first" and [row[0] for row in rows if "ends" in row[0]] == ["press ends first"]
    widths = [float(bar.get("style")[7:-1]) for bar in lxml.fromstring(page).iterfind(".//span[@class='bar']/i")]
    assert widths == [round(100 * source.share, 2) for source in mix.sources]
    assert "all sources end together" not in _text(page) and "all sources end together" in _text(render(bloomberg))


def test_the_supply_adds_up_by_group(bloomberg: Plan) -> None:
    page = render(bloomberg)
    rows = {row[0]: row for row in _table(page, "The supply")}
    assert rows["web"][1:] == ["1.58 B", "298 B", "299 B", "42.10 %", "given: BloombergGPT arXiv:2303.17564 Table 1"]
    assert rows["financial"][1:] == ["1.76 B", "363 B", "365 B", "51.35 %", "together; 51.27 % of tokens"]
    assert rows["All"][1:4] == ["2.27 B", "709 B", "711 B"]
    assert list(rows)[4:] == ["inhouse", "financial", "pile", "c4", "wikipedia", "public", "All"]
    for exactly in ("297,800,000,000", "299,382,500,000", f"{bloomberg.supply.training_tokens:,}"):
        assert f'title="{exactly}"' in page


def test_the_compute_chain_has_every_factor_and_its_source(bloomberg: Plan) -> None:
    page = render(bloomberg)
    rows = _table(page, "The compute budget")
    assert [row[1] for row in rows] == ["1.30 M h", "3,600 s/h", "100 TFLOP/s", "0.75", "3.51e+23"]
    assert [row[2] for row in rows[:-1]] == [factor.source for factor in bloomberg.compute.factors]
    assert rows[-1][2] == bloomberg.compute.formula
    assert "1.30 M h x 3,600 s/h x 100 TFLOP/s x 0.75 = 3.51e+23 (2.22e+23 to 5.55e+23) FLOP" in _text(page)
    assert "24.04 % of the dense peak of A100-SXM-40GB" in _text(page)


def test_model_schedule_run_and_assumptions_are_there(bloomberg: Plan) -> None:
    page = _text(render(bloomberg))
    model, schedule = bloomberg.model, bloomberg.schedule
    assert f"{model.layers} layers, width {model.width:,}, {model.heads} heads of {model.head_size}" in page
    assert f"{schedule.steps:,} of 4,096 rows of 2,048 tokens" in page
    assert "537,792 of 1.30 M on A100-SXM-40GB (41.37 %)" in page
    for text in (model.rule, schedule.rule, *(t for a in bloomberg.assumptions for t in (a.name, a.value, a.source))):
        assert text in page


def test_what_comes_from_outside_is_text(hostile: Plan) -> None:
    page = render(hostile)
    assert "<script" not in page and "\x1b" not in page and "\x07" not in page
    assert _text(page).count("<script>alert(1)</script>") > 40
    assert r"\x1b[31m[bold]" in page
    assert not any(name.startswith("on") for name, _ in Page(page).attributes)


@pytest.mark.parametrize("kind", KINDS)
def test_both_figures_are_on_the_page_and_no_id_twice(plans: dict[str, Plan], kind: str) -> None:
    page = render(plans[kind])
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
    blocks = re.findall(r":root \{(.*?)\}", render(bloomberg), re.DOTALL)
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
