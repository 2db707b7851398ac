"""Plans to report on: one like BloombergGPT's, a tiny one, a huge one, and one whose every text is hostile."""

from __future__ import annotations

import math

import pytest

from planner.schema import (
    Assumption,
    Compute,
    Factor,
    Group,
    LawFigure,
    Mix,
    MixSource,
    Model,
    Plan,
    Run,
    Schedule,
    Source,
    Supply,
    Verdict,
)
from planner.units import human

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
# Where the laws' own constants give these is `tests/planner/laws`; here they are figures to be shown.
LAWS = (  # law, parameters and tokens at 3.51e23, exponents of C for both, source
    ("chinchilla-approach-1", 52.993e9, 1111.1e9, 0.498, 0.502, "Hoffmann et al. 2022 arXiv:2203.15556 Table 3"),
    ("chinchilla-approach-2", 49.753e9, 1175.8e9, 0.490, 0.510, "Hoffmann et al. 2022 arXiv:2203.15556 Table A3"),
    ("chinchilla-approach-3", 32.031e9, 1826.4e9, 0.4565, 0.5435, "eq. 4; Hoffmann et al. 2022 arXiv:2203.15556"),
    ("kaplan", 336.97e9, 173.61e9, 0.73, 0.27, "Kaplan et al. 2020 arXiv:2001.08361 Table 6"),
    ("20-tokens-per-parameter", 54.083e9, 1081.7e9, 0.5, 0.5, "rule of thumb; https://arxiv.org/abs/2203.15556"),
)
BUDGET = 3.51e23


def law_figures(available: int, flops: float) -> list[LawFigure]:
    """The laws at another budget, each on its own power law through the figures above."""
    figures = []
    for name, params, tokens, of_params, of_tokens, source in LAWS:
        params, tokens = params * (flops / BUDGET) ** of_params, tokens * (flops / BUDGET) ** of_tokens
        ratio = available / tokens
        figures.append(
            LawFigure(
                law=name,
                params=params,
                tokens=tokens,
                source=source,
                available_ratio=ratio,
                limited_by="data" if ratio < 1 else "compute",
                affords_params=params * ratio ** (of_params / of_tokens),
                affords_flops=flops * ratio ** (1 / of_tokens),
            )
        )
    return figures


def make_supply(table: tuple, known: str, citation: str | None) -> Supply:
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
            tokenizer="a Unigram of 131,072" if citation else "5" * 64,
            manifest=None if citation else "7" * 64,
            citation=citation,
        )
        for source, group, documents, chars, tokens in table
    ]
    documents, tokens = sum(s.documents for s in sources), sum(s.tokens for s in sources)
    groups = {}
    for name in dict.fromkeys(s.group for s in sources):
        own = [s for s in sources if s.group == name]
        groups[name] = Group(
            documents=sum(s.documents for s in own),
            tokens=sum(s.tokens for s in own),
            training_tokens=sum(s.training_tokens for s in own),
            share=sum(s.tokens for s in own) / tokens,
            training_share=sum(s.training_tokens for s in own) / (tokens + documents),
        )
    return Supply(
        origin="bloomberggpt_supply.csv" if citation else "lake-sample",
        lake=citation is None,
        sample=citation is None,
        provisional=citation is None,
        tokenizer=sources[0].tokenizer,
        vocabulary=131_072 if citation else 4_096,
        documents=documents,
        tokens=tokens,
        training_tokens=tokens + documents,
        groups=groups,
        sources=sources,
    )


def make_plan(name: str, supply: Supply, flops: float, **changed: object) -> Plan:
    """A plan that takes the whole supply as it is, with figures that hang together."""
    available = supply.training_tokens
    laws = law_figures(available, flops)
    law = laws[0]
    limited, factor = law.limited_by, max(law.available_ratio, 1 / law.available_ratio)
    params, tokens = (law.affords_params, available) if limited == "data" else (law.params, int(law.tokens))
    sequence, batch = (2_048, 4_096) if tokens > 1e10 else (256, 16)
    steps = max(1, tokens // (sequence * batch))
    used = 6 * params * steps * sequence * batch
    hours = flops / (100e12 * 0.75 * 3600)
    fields = {
        "name": name,
        "verdict": Verdict(
            limited_by=limited,
            factor=factor,
            law=law.law,
            binding=None,
            sentences=[  # as long as those that a plan has
                f"{limited.capitalize()}-limited by a factor of {human(factor)}: "
                f"{law.law} asks for {human(law.tokens)} training tokens on {human(hours)} GPU-hours of A100-SXM-40GB "
                f"({human(flops)} FLOP); the mix proportional has {human(available)}.",
                f"Those tokens afford {human(law.affords_params)} parameters and {human(law.affords_flops)} FLOP, "
                f"{100 * law.affords_flops / flops:.3g} % of the budget; spending all of it on them would train "
                f"{human(flops / 6 / available)} parameters, more than the law calls optimal.",
                "kaplan would call it compute-limited; the laws ask for 173 B to 1.82 T tokens.",
                f"The plan: {human(params)} parameters (48 layers, width 7,680) on {human(tokens)} tokens in "
                f"{steps:,} steps; {human(hours * used / flops)} GPU-hours, {100 * used / flops:.3g} % of the budget.",
            ],
        ),
        "alerts": [],
        "supply": supply,
        "mix": Mix(
            name="proportional",
            description="what is there, as it is",
            citation=None,
            strategy="proportional",
            normalised_from=None,
            budget=available,
            largest=available,
            binding=None,
            sources=[
                MixSource(
                    source=s.source,
                    group=s.group,
                    share=s.training_tokens / available,
                    tokens=s.training_tokens,
                    available=s.training_tokens,
                    epochs=1.0,
                )
                for s in supply.sources
            ],
        ),
        "compute": Compute(
            gpu="A100-SXM-40GB",
            gpus=None,
            days=None,
            gpu_hours=hours,
            formula="achieved hardware FLOP/s less full recomputation",
            factors=[
                Factor(name="GPU-hours", value=hours, unit="h", source="the budget"),
                Factor(name="seconds", value=3600, unit="s/h", source="definition"),
                Factor(name="achieved", value=100e12, unit="FLOP/s", source="--tflops"),
                Factor(name="no recomputation", value=0.75, unit="1", source="6 N D of 8 N D"),
            ],
            flops=hours * 3600 * 100e12 * 0.75,
            utilisation=0.75 * 100 / 312,
            flops_range=(flops * 0.632, flops * 1.58),
        ),
        "laws": laws,
        "model": Model(
            target_params=params,
            params=int(params * 1.003),
            layers=48,
            width=7_680,
            heads=60,
            head_size=128,
            ffn=20_480,
            vocabulary=131_072,
            rule="width / layers near 128 (LLaMA, arXiv:2302.13971 Table 2)",
        ),
        "schedule": Schedule(
            tokens=steps * sequence * batch,
            sequence=sequence,
            batch=batch,
            steps=steps,
            warmup_steps=max(1, min(2_000, steps // 100)),
            peak_rate=3.75e-4,
            final_rate=3.75e-5,
            rule="batch 0.2920 C^0.3271 tokens (DeepSeek LLM, arXiv:2401.02954)",
        ),
        "run": Run(flops=used, gpu_hours=hours * used / flops, days=None, budget_share=used / flops),
        "assumptions": [
            Assumption(name="peak of A100-SXM-40GB", value="312 TFLOP/s dense BF16", source="NVIDIA A100 datasheet"),
            Assumption(name="end-of-document token", value="one for each document", source="docs/design.md"),
        ],
    }
    return Plan(**fields | changed)


@pytest.fixture(scope="session")
def bloomberg() -> Plan:
    """What the BloombergGPT paper had: 709 B tokens, 1.3 M A100-hours."""
    return make_plan("bloomberggpt", make_supply(BLOOMBERGGPT, "given", TABLE_1), BUDGET)


@pytest.fixture(scope="session")
def tiny() -> Plan:
    """The sample lake: about 800 k tokens, a model of 2 M parameters, an hour of one GPU."""
    table = tuple(
        (source, group, 100 + n, 400_000, 100_000 - 7 * n) for n, (source, group, *_) in enumerate(BLOOMBERGGPT)
    )
    plan = make_plan("sample", make_supply(table, "measured", None), 5e16)
    model = plan.model.model_copy(
        update={
            "params": 2_003_456,
            "layers": 4,
            "width": 192,
            "heads": 3,
            "head_size": 64,
            "ffn": 512,
            "vocabulary": 4096,
        }
    )
    flops = 6.0 * model.params * plan.schedule.tokens
    share = flops / plan.compute.flops
    run = Run(flops=flops, gpu_hours=share * plan.compute.gpu_hours, days=None, budget_share=share)
    alerts = ["This is the embedded sample: its figures say nothing about real data.", "The tokenizer is provisional."]
    return plan.model_copy(update={"model": model, "run": run, "alerts": alerts})


@pytest.fixture(scope="session")
def huge() -> Plan:
    """A thousand times the tokens and a budget of 1e29 FLOPs, on estimated counts."""
    table = tuple((s, g, documents, None, tokens * 1000) for s, g, documents, _, tokens in BLOOMBERGGPT)
    return make_plan("huge", make_supply(table, "estimated", TABLE_1), 1e29)


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
def plans(bloomberg: Plan, tiny: Plan, huge: Plan, hostile: Plan) -> dict[str, Plan]:
    """All of them."""
    assert math.isclose(bloomberg.compute.flops, BUDGET)
    return {"bloomberg": bloomberg, "tiny": tiny, "huge": huge, "hostile": hostile}
