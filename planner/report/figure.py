"""The figure of a plan: training tokens against parameters, with what each law asks for and what there is, as SVG.

Colours are variables of the page with defaults (`var(--law-0, #0072b2)`), so that one figure serves light and dark.
Marks and lines differ in shape as well as in colour, and text stays text.
"""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from planner.facts import rows
from planner.report.summary import plan_law, short
from planner.report.terminal import visible
from planner.schema import LawFigure, Plan
from planner.units import human

# Okabe and Ito's colours that stand out on white; the page lightens the first one in the dark.
LAWS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DASHES = ("-", (0, (7, 2)), (0, (2, 1.5)), (0, (8, 2, 2, 2)), (0, (4, 2, 1, 2, 1, 2)))
MARKS = ("o", "s", "D", "^", "v")
INK, QUIET, GRID, PAGE = "#010101", "#767676", "#808080", "#fefefe"
VARIABLES = {color: f"var(--law-{n}, {color})" for n, color in enumerate(LAWS)} | {
    INK: "currentColor",
    QUIET: f"var(--quiet, {QUIET})",
    PAGE: "var(--page, transparent)",
}
HALO = f"; paint-order: stroke; stroke: {VARIABLES[PAGE]}; stroke-width: 3px"  # lines stay off the letters
SHOWN = (  # of planner/facts/known_models.csv: decoder-only and dense, few enough to be read
    *("BloombergGPT 50B", "GPT-3 175B", "Chinchilla 70B", "Llama 3.1 405B", "LLaMA-7B", "PaLM 540B", "Gopher 280B"),
    *("Llama 3.1 70B", "Llama 3.1 8B", "LLaMA-65B", "Llama 2 70B", "BLOOM-176B", "OPT-175B"),
)
DECADES = 3  # a known model farther from the plan than this says nothing about it
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Layout:
    """Measures of the figure, in units of its viewBox."""

    width: float
    plot: float
    """Height of the plot; axis labels and the key come below it."""
    font: float
    columns: int
    """Of the key."""
    left: float = 62
    top: float = 30
    below: float = 52
    row: float = 20
    """Height of a row of the key."""


WIDE = Layout(width=920, plot=420, font=13, columns=2)
NARROW = Layout(width=400, plot=330, font=12, columns=1)

Point = tuple[float, float]


def tokens_against_parameters(plan: Plan, narrow: bool = False) -> str:
    """An SVG element: log-log, with a line for each law, known models, the mix, the budget and the plan.

    `narrow`: drawn for a phone. Equal plans give equal bytes.
    """
    layout = NARROW if narrow else WIDE
    name = "narrow" if narrow else "wide"  # marks are named by it: a page has both figures
    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": layout.font, "text.parse_math": False}
    with matplotlib.rc_context(style):
        entries = list(_key(plan))
        key = math.ceil(len(entries) / layout.columns) * layout.row
        height = layout.top + layout.plot + layout.below + key
        figure = Figure(figsize=(layout.width / 72, height / 72), dpi=72)  # 72 to the inch: points are the units
        figure.patch.set_visible(False)
        left, width = layout.left / layout.width, 1 - (layout.left + 14) / layout.width
        bottom = (layout.below + key) / height
        axes = figure.add_axes((left, bottom, width, layout.plot / height))
        _axes(axes, plan)
        _draw(axes, plan, layout)
        _draw_key(figure, entries, layout, height)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_the_page(written.getvalue(), plan)


def _axes(axes: Axes, plan: Plan) -> None:
    """Axes that show the plan, every law's optimum and what the plan's law affords, and known models that are near."""
    law, available = plan_law(plan), plan.mix.largest
    points = [(plan.model.params, plan.schedule.tokens), (law.affords_params, available)]
    points += [(law.params, law.tokens) for law in plan.laws]
    points += [point for _, point in _known(plan)]
    points = [point for point in points if _drawable(point)]
    axes.set(xscale="log", yscale="log", facecolor="none")
    axes.set_xlim(_range(x for x, _ in points))
    axes.set_ylim(_range(y for _, y in points))
    axes.set_xlabel("parameters", color=INK)
    axes.set_title("training tokens", loc="left", color=INK, fontsize=axes.xaxis.label.get_fontsize(), pad=8)
    axes.grid(color=GRID, alpha=0.25, linewidth=0.6, clip_on=False)
    axes.tick_params(which="both", color=GRID, labelcolor=INK)
    axes.spines[:].set_color(GRID)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: human(value, 1)))
        axis.set_minor_formatter(NullFormatter())


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Limits around the values with room for labels, two decades at least."""
    logs = [math.log10(value) for value in values]
    low, high = min(logs), max(logs)
    pad = max(0.35, (2 - (high - low)) / 2)
    return 10 ** (low - pad), 10 ** (high + pad)


def _drawable(point: Point) -> bool:
    return all(math.isfinite(value) and value > 0 for value in point)


def _known(plan: Plan) -> list[tuple[str, Point]]:
    """The known models within three decades of the plan, the most telling first."""
    table = {row["model"]: (float(row["params"]), float(row["tokens"])) for row in rows("known_models")}
    here = plan.model.params, plan.schedule.tokens
    near = [(name, table[name]) for name in SHOWN]
    return [(name, at) for name, at in near if all(abs(math.log10(a / b)) <= DECADES for a, b in zip(at, here))]


def _styles(n: int) -> dict[str, object]:
    dash = DASHES[(n + n // len(LAWS)) % len(DASHES)]  # a colour that comes again has another dash
    return {"color": LAWS[n % len(LAWS)], "linestyle": dash, "marker": MARKS[n % len(MARKS)]}


def _direction(law: LawFigure, available: float) -> Point | None:
    """Where a law's line goes in log-log: from its optimum to the model that the mix affords. None where they meet."""
    if not (_drawable((law.params, law.tokens)) and _drawable((law.affords_params, available))):
        return None
    step = math.log10(law.affords_params / law.params), math.log10(available / law.tokens)
    return step if math.hypot(*step) > 1e-6 else None


def _segment(axes: Axes, through: Point, direction: Point) -> tuple[list[float], list[float]] | None:
    """The part of a straight line, in log-log, that is inside of the axes: its two x and its two y."""
    first, last = -math.inf, math.inf
    logs = [math.log10(value) for value in through]
    for at, step, limits in zip(logs, direction, (axes.get_xlim(), axes.get_ylim())):
        low, high = (math.log10(limit) - at for limit in limits)
        if step:
            first, last = max(first, min(low / step, high / step)), min(last, max(low / step, high / step))
        elif low > 0 or high < 0:
            return None
    if first >= last:
        return None
    xs, ys = ([10 ** (at + t * step) for t in (first, last)] for at, step in zip(logs, direction))
    return xs, ys


def _draw(axes: Axes, plan: Plan, layout: Layout) -> None:
    """All lines and marks. Nothing is clipped, because no line leaves the axes."""
    here, available = (plan.model.params, plan.schedule.tokens), plan.mix.largest
    lines = [
        _segment(axes, (here[0], available), (1.0, 0.0)),
        _segment(axes, (plan.compute.flops / 6 / here[1], here[1]), (1.0, -1.0)),
    ]
    for line, style in zip(lines, ((0, ()), (0, (1, 2)))):
        if line:
            axes.plot(*line, color=INK, linewidth=1.2, linestyle=style, clip_on=False)
    for n, law in enumerate(plan.laws):
        style, direction = _styles(n), _direction(law, available)
        line = _segment(axes, (law.params, law.tokens), direction) if direction else None
        lines.append(line)
        width = 3 if law.law == plan.verdict.law else 1.8
        if line:
            axes.plot(*line, **style | {"marker": ""}, linewidth=width, clip_on=False, gid=f"law-{n}")
        if _drawable((law.params, law.tokens)):
            style |= {"linestyle": "", "markersize": 9, "markeredgecolor": PAGE, "zorder": 4}
            axes.plot([law.params], [law.tokens], **style, clip_on=False, gid=f"optimum-{n}")
    axes.plot([here[0]], [here[1]], "*", color=INK, markersize=19, clip_on=False, zorder=5, gid="plan")
    optima = [(law.params, law.tokens) for law in plan.laws if _drawable((law.params, law.tokens))]
    known = _label(axes, here, _known(plan), optima, [line for line in lines if line], layout.font)
    if known:
        axes.plot(*zip(*known), "o", color=QUIET, markersize=4.5, clip_on=False, gid="known")


def _label(
    axes: Axes, here: Point, known: list[tuple[str, Point]], optima: list[Point], lines: list, font: float
) -> list[Point]:
    """Write names beside the plan and the known models, where they cover no other and no mark, and few lines.

    Returns the known models that were named: one without room for its name is left out.
    """
    place = axes.transData.transform
    frame = axes.get_window_extent()
    marks = [place(mark) for mark in (here, *optima, *(at for _, at in known))]
    taken, inked, named = [], [], []
    for xs, ys in lines:
        (x0, y0), (x1, y1) = place((xs[0], ys[0])), place((xs[1], ys[1]))
        inked += [(x0 + (x1 - x0) * k / 150, y0 + (y1 - y0) * k / 150) for k in range(151)]
    for text, point in (("this plan", here), *known):
        star = point is here
        x, y = place(point)
        # The reader's font is not known here: widths are guessed, and generous.
        wide, tall, gap = 0.58 * font * len(text), 1.1 * font, 12 if star else 6
        found = []
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            reach = gap * (0.7 if across and up else 1)
            anchor = x + across * reach, y + up * (reach + tall / 2)
            left = anchor[0] - wide * (1 - across) / 2
            box = left, anchor[1] - tall / 2, left + wide, anchor[1] + tall / 2
            inside = box[0] > frame.x0 and box[2] < frame.x1 and box[1] > frame.y0 and box[3] < frame.y1
            others = [(a - 5, b - 5, a + 5, b + 5) for a, b in marks if math.hypot(a - x, b - y) > 4]
            if inside and not any(_overlap(box, other) for other in taken + others):
                crossed = sum(box[0] < a < box[2] and box[1] < b < box[3] for a, b in inked)
                found.append((crossed, len(found), anchor, ("right", "center", "left")[across + 1], box))
        if found:
            _, _, anchor, align, box = min(found)
            taken.append(box)
            named += [] if star else [point]
            style = {"color": INK, "weight": "bold"} if star else {"color": QUIET}
            at = axes.transData.inverted().transform(anchor)
            axes.text(*at, text, **style, ha=align, va="center_baseline", fontsize=font - 1, zorder=6)
    return named


def _overlap(one: tuple, other: tuple) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _key(plan: Plan) -> Iterator[tuple[dict, str]]:
    """What each line and mark is, with its figures."""
    for n, law in enumerate(plan.laws):
        planned = law.law == plan.verdict.law
        style = _styles(n) | {"linewidth": 3 if planned else 1.8, "markersize": 7}
        whose = " (the plan's)" if planned else ""
        yield style, f"{short(law.law)}{whose}: {human(law.params)} on {human(law.tokens)}"
    yield {"color": INK, "linewidth": 1.2}, f"the mix: {human(plan.mix.largest)} training tokens"
    budget = {"color": INK, "linewidth": 1.2, "linestyle": (0, (1, 2))}
    yield budget, f"the budget: 6 N D = {human(plan.compute.flops)} FLOP"
    star = {"color": INK, "marker": "*", "markersize": 13, "linestyle": ""}
    yield star, f"this plan: {human(plan.model.params)} on {human(plan.schedule.tokens)}"
    if _known(plan):
        yield {"color": QUIET, "marker": "o", "markersize": 4.5, "linestyle": ""}, "published models"


def _draw_key(figure: Figure, entries: list[tuple[dict, str]], layout: Layout, height: float) -> None:
    per_column = math.ceil(len(entries) / layout.columns)
    wide = (layout.width - layout.left) / layout.columns
    for n, (style, text) in enumerate(entries):
        column, row = divmod(n, per_column)
        x, y = layout.left / (1 if layout.columns > 1 else 4) + column * wide, layout.row * (per_column - row - 0.5)
        ends = [x / layout.width, (x + 17) / layout.width, (x + 34) / layout.width]
        figure.add_artist(Line2D(ends, [y / height] * 3, markevery=[1], **style))
        at = (x + 42) / layout.width, y / height
        figure.text(*at, text, color=INK, va="center_baseline", fontsize=layout.font - 0.5)


def _for_the_page(written: str, plan: Plan) -> str:
    """matplotlib's SVG as part of a page: as wide as there is room, in the page's font and colours, and named."""
    root = ET.fromstring(written)
    sentence = " ".join(visible(sentence) for sentence in plan.verdict.sentences)
    label = f"Training tokens against parameters, both logarithmic. {sentence}"
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("metadata", "style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        if HREF in element.attrib:
            element.set("href", element.attrib.pop(HREF))
        name = element.attrib.pop("id", "") if element.tag == "g" else ""  # a page has two figures, and ids once
        if name.startswith(("law-", "optimum-", "plan", "known")):
            element.set("class", name)
        if style := element.get("style"):
            if element.tag == "text":
                style = "; ".join(part for part in style.split("; ") if not part.startswith("font-family")) + HALO
            for color, variable in VARIABLES.items():
                style = style.replace(color, variable)
            element.set("style", style)
    view = root.get("viewBox")
    root.attrib.clear()
    root.attrib |= {"xmlns": SVG[1:-1], "viewBox": view, "role": "img", "aria-label": label}
    root.set("style", "width: 100%; height: auto; font-family: system-ui, sans-serif; stroke-linejoin: round")
    title = ET.Element("title")
    title.text = label
    root.insert(0, title)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)
