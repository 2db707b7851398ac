"""Plans to report on, as the planner makes them: BloombergGPT's, a tiny one, a huge one, and one of hostile texts."""

from __future__ import annotations

import pytest

from planner import compute, hardware, laws, mix, plan
from planner.schema import Plan, Source, Supply
from planner.supply import _supply

TABLE_1 = "BloombergGPT arXiv:2303.17564 Table 1"
BLOOMBERGGPT = (  # source, group, documents, characters, tokens
    ("web", "financial", 1_582_500_000, 1_476_800_000_000, 297_800_000_000),
    ("news", "financial", 100_400_000, 167_200_000_000, 37_600_000_000),
    ("filings", "financial", 33_350_000, 78_000_000_000, 14_500_000_000),
    ("press", "financial", 12_650_000, 43_500_000_000, 8_600_000_000),
    ("inhouse", "financial", 29_960_000, 22_700_000_000, 4_900_000_000),
    ("pile", "public", 136_940_000, 840_900_000_000, 183_600_000_000),
    ("c4", "public", 348_320_000, 768_300_000_000, 138_100_000_000),
    ("wikipedia", "public", 22_180_000, 72_600_000_000, 23_700_000_000),
)


def make_supply(table: tuple, known: str = "given", **how: object) -> Supply:
    """A supply of rows (source, group, documents, characters, tokens)."""
    sources = [
        Source(
            source=source,
            group=group,
            documents=documents,
            chars=chars,
            tokens=tokens,
            training_tokens=tokens + documents,
            known=known,
            tokenizer="a Unigram of 131,072",
            citation=TABLE_1,
        )
        for source, group, documents, chars, tokens in table
    ]
    settings = {
        "origin": "bloomberggpt.csv",
        "lake": False,
        "sample": False,
        "provisional": False,
        "vocabulary": 131_072,
    }
    return _supply(sources, **settings | how)


def make_plan(name: str, supply: Supply, gpu_hours: float, sequence: int = 2_048) -> Plan:
    """A plan of the mix proportional on A100s of 100 TFLOP/s with full recomputation."""
    budget = compute.budget(hardware.find("a100-40gb"), gpu_hours, hfu_tflops=100, recompute="full")
    return plan.make(name, supply, mix.load("proportional"), budget, laws.named(plan.LAW), sequence)


@pytest.fixture(scope="session")
def bloomberg() -> Plan:
    """What the BloombergGPT paper had: 709 B tokens, 1.3 M A100-hours."""
    return make_plan("bloomberggpt", make_supply(BLOOMBERGGPT), 1.3e6)


@pytest.fixture(scope="session")
def tiny() -> Plan:
    """Like the sample lake: about 800 k tokens, a model that is all embedding, an hour of one GPU."""
    table = tuple((s, g, 100 + n, 400_000, 100_000 - 7 * n) for n, (s, g, *_) in enumerate(BLOOMBERGGPT))
    how = {"lake": True, "sample": True, "provisional": True, "vocabulary": 8_832, "origin": "lake-sample"}
    return make_plan("sample", make_supply(table, "measured", **how), 1, 256)


@pytest.fixture(scope="session")
def huge() -> Plan:
    """A thousand times the tokens and a budget of 1e29 FLOPs, on estimated counts."""
    table = tuple((s, g, documents, None, tokens * 1000) for s, g, documents, _, tokens in BLOOMBERGGPT)
    return make_plan("huge", make_supply(table, "estimated"), 3.7e11)


@pytest.fixture(scope="session")
def short_of_compute() -> Plan:
    """BloombergGPT's tokens and 30,000 hours of H100 at the default utilisation: compute is what is short."""
    budget = compute.budget(hardware.find("h100"), 3e4)
    supply = make_supply(BLOOMBERGGPT)
    return plan.make("short-of-compute", supply, mix.load("proportional"), budget, laws.named(plan.LAW))


@pytest.fixture(scope="session")
def undecided() -> Plan:
    """A default utilisation whose band turns the verdict over, and a mix of fixed shares that one source bounds."""
    budget = compute.budget(hardware.find("a100-40gb"), 6e5)
    supply = make_supply(BLOOMBERGGPT)
    return plan.make("undecided", supply, mix.load("bloomberggpt"), budget, laws.named(plan.LAW))


HOSTILE = "<script>alert(1)</script>\x1b[31m[bold]\x07\"' onload=alert(1) " + "W" * 200


@pytest.fixture(scope="session")
def hostile(bloomberg: Plan) -> Plan:
    """Every text that comes from outside is an attack: on HTML, on the terminal, on the layout."""
    from_outside = {"name", "source", "group", "binding", "sentences", "alerts", "origin", "description", "citation"}
    from_outside |= {"tokenizer", "manifest", "value", "unit", "rule", "formula", "gpu", "law"}

    def attack(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            of_groups = key == "groups"
            return {f"{k} {HOSTILE}" if of_groups else k: attack(v, "" if of_groups else k) for k, v in value.items()}
        if isinstance(value, list):
            return [attack(item, key) for item in value]
        return f"{value} {HOSTILE}" if isinstance(value, str) and key in from_outside else value

    plan = Plan.model_validate(attack(bloomberg.model_dump()))
    mix = plan.mix.model_copy(update={"binding": plan.mix.sources[0].source})
    verdict = plan.verdict.model_copy(update={"binding": plan.mix.sources[0].source})
    return plan.model_copy(update={"alerts": [HOSTILE], "mix": mix, "verdict": verdict})


@pytest.fixture(scope="session")
def plans(
    bloomberg: Plan, tiny: Plan, huge: Plan, short_of_compute: Plan, undecided: Plan, hostile: Plan
) -> dict[str, Plan]:
    """All of them."""
    return {
        "bloomberg": bloomberg,
        "tiny": tiny,
        "huge": huge,
        "short_of_compute": short_of_compute,
        "undecided": undecided,
        "hostile": hostile,
    }
