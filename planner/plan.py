"""The plan: supply x mix x compute -> a decision. Pure: equal inputs give equal plans, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from corpora.errors import ConfigError
from planner import compute as budget
from planner.laws import Law, laws
from planner.mix import MixFile, solve
from planner.schedule import schedule
from planner.schema import Assumption, Compute, LawFigure, Plan, Run, Supply
from planner.shape import shape
from planner.verdict import run_alerts, supply_alerts, verdict

SEQUENCE = 2_048  # tokens of a row: Hoffmann et al. 2022 and BloombergGPT
VOCABULARY = 131_072  # 2^17: BloombergGPT, section 2.3
LAW = "chinchilla-approach-1"


def make(name: str, supply: Supply, mix: MixFile, compute: Compute, law: Law, sequence: int = SEQUENCE) -> Plan:
    """The plan that goes by `law`: all that the budget pays for, or, where tokens are short, the model they afford.

    No token is repeated: the run is at most the largest budget of the mix. Raises AssayError where the tokens do not
    fill one batch, and as `planner.mix.solve` does.
    """
    largest = solve(supply, mix)
    available = largest.largest
    figures = [_figure(each, compute, available) for each in laws()]
    chosen = next(figure for figure in figures if figure.law == law.name)
    target = chosen.affords_params if chosen.limited_by == "data" else chosen.params
    model = shape(target, supply.vocabulary or VOCABULARY)
    # Of a compute-limited plan the tokens are what the budget pays for at the shape's exact count.
    tokens = available if chosen.limited_by == "data" else int(compute.flops / (6 * model.params))
    # Whole rows that the sources have, each of which reads one token beyond its last.
    rows = sum(max(0, source.available - 1) // sequence for source in largest.sources)
    steps = schedule(model.params, min(tokens, rows * sequence), sequence, compute.gpus or 1)
    of_run = solve(supply, mix, steps.tokens)
    run = _run(6 * model.params * steps.tokens, compute)
    return Plan(
        name=name,
        verdict=verdict(supply, of_run, compute, figures, chosen, model, steps, run),
        alerts=[*supply_alerts(supply, of_run), *run_alerts(model, steps, run)],
        supply=supply,
        mix=of_run,
        compute=compute,
        laws=figures,
        model=model,
        schedule=steps,
        run=run,
        assumptions=_assumptions(supply, sequence, law),
    )


def to_json(plan: Plan) -> bytes:
    """`plan.json`, as it is written and printed."""
    return (json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def from_json(path: Path) -> tuple[Plan, bytes]:
    """The plan in a file, and the file's bytes. Raises ConfigError, in one sentence, where it is none."""
    try:
        content = path.read_bytes()
        return Plan.model_validate_json(content), content
    except FileNotFoundError:
        raise ConfigError(f"there is no plan {path}: `assay plan` writes one") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder: name the plan.json in it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{path} is no plan of this version of Assay: {where}: {first['msg']}") from None


def json_schema() -> bytes:
    """The JSON schema of `plan.json`: what `docs/plan.schema.json` holds."""
    made = Plan.model_json_schema(mode="serialization")
    published = {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
    return (json.dumps(published, indent=1, ensure_ascii=False) + "\n").encode()


def _figure(law: Law, compute: Compute, available: int) -> LawFigure:
    tokens = law.tokens(compute.flops)
    affords = law.flops_for_tokens(available)
    ends = compute.flops_range and tuple(available / law.tokens(flops) for flops in reversed(compute.flops_range))
    return LawFigure(
        law=law.name,
        params=law.params(compute.flops),
        tokens=tokens,
        source=law.source,
        available_ratio=available / tokens,
        available_ratio_range=ends,
        limited_by="data" if available < tokens else "compute",
        affords_params=law.params(affords),
        affords_flops=affords,
    )


def _run(flops: float, compute: Compute) -> Run:
    hours = budget.hours(flops, compute)
    days = hours / 24 / compute.gpus if compute.gpus else None
    return Run(flops=flops, gpu_hours=hours, days=days, budget_share=flops / compute.flops)


def _assumptions(supply: Supply, sequence: int, law: Law) -> list[Assumption]:
    made = [
        Assumption(
            name="training FLOPs", value="6 x parameters x tokens", source="Kaplan et al. 2020, arXiv:2001.08361, s2.1"
        ),
        Assumption(name="law that the plan goes by", value=law.name, source=law.source),
        Assumption(
            name="tokens of another tokenizer",
            value="the laws' own tokenizers are taken to count as this one does; public text took 1.13 to 1.26 times "
            "BloombergGPT's tokens with BLOOM's, NeoX's and OPT's",
            source="BloombergGPT, arXiv:2303.17564, Table 3 (390, 408 and 434 against 345 B tokens)",
        ),
        Assumption(
            name="repeated tokens",
            value="none: at most one epoch of any source",
            source="BloombergGPT, arXiv:2303.17564",
        ),
        Assumption(name="sequence", value=f"{sequence:,} tokens", source="--sequence; 2,048 in arXiv:2203.15556"),
    ]
    if supply.vocabulary is None:
        made.append(
            Assumption(
                name="vocabulary", value=f"{VOCABULARY:,} ids", source="BloombergGPT, arXiv:2303.17564, s2.3: 2^17"
            )
        )
    return made
