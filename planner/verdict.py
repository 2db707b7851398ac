"""The verdict: what the figures say, in words."""

from __future__ import annotations

from planner.schema import Compute, LawFigure, Mix, Model, Run, Schedule, Supply, Verdict
from planner.units import counted, human, percent

TOO_FEW = 10  # times: from there on a model that uses up the budget is no alternative
FITTED_PARAMS, FITTED_TOKENS = 70e6, 5e9  # least of Chinchilla's runs: Hoffmann et al. 2022, arXiv:2203.15556, abstract


def verdict(
    supply: Supply,
    mix: Mix,
    compute: Compute,
    laws: list[LawFigure],
    law: LawFigure,
    model: Model,
    schedule: Schedule,
    run: Run,
) -> Verdict:
    """Data-limited or compute-limited under `law`, by how much, what follows, and which laws say otherwise."""
    asked = f"{counted(compute.gpu_hours, 'GPU-hour')} of {compute.gpu} ({human(compute.flops)} FLOP)"
    has = f"the mix {mix.name} has {human(mix.largest)}{_how_known(supply)}"
    if law.limited_by == "data":
        factor = 1 / law.available_ratio
        first = (
            f"Data-limited by a factor of {human(factor)}: {law.law} asks for {human(law.tokens)} training tokens on "
            f"{asked}; {has}."
        )
        afforded = (
            f"Those tokens afford {human(law.affords_params)} parameters and {human(law.affords_flops)} FLOP, "
            f"{percent(law.affords_flops / compute.flops)} of the budget"
        )
        if factor < TOO_FEW:
            afforded += (
                f"; spending all of it on them would train {human(compute.flops / (6 * mix.largest))} parameters, more "
                "than the law calls optimal"
            )
        afforded += "."
    else:
        factor = law.available_ratio
        first = (
            f"Compute-limited by a factor of {human(factor)}: {asked} pay for {human(law.tokens)} training tokens by "
            f"{law.law}; {has}."
        )
        afforded = (
            f"All of the tokens would be optimal for {human(law.affords_params)} parameters, at "
            f"{human(law.affords_flops / compute.flops)} times the budget."
        )
    binding = mix.binding if law.limited_by == "data" else None
    return Verdict(
        limited_by=law.limited_by,
        factor=factor,
        law=law.law,
        binding=binding,
        sentences=[
            first,
            *([_bound(supply, mix)] if binding else []),
            afforded,
            _agreement(laws, law),
            f"The plan: {human(model.params)} parameters ({counted(model.layers, 'layer')}, width {model.width:,}) on "
            f"{human(schedule.tokens)} tokens in {counted(schedule.steps, 'step')}; "
            f"{counted(run.gpu_hours, 'GPU-hour')}, {percent(run.budget_share)} of the budget.",
        ],
    )


def supply_alerts(supply: Supply, mix: Mix) -> list[str]:
    """What a reader must know of the counts before any figure."""
    found = []
    if supply.sample:
        found.append("These are the tokens of the embedded sample: they say nothing about real data.")
    if supply.provisional:
        found.append(
            "The counts are provisional: the tokenizer was trained here on what was ingested; set a final one."
        )
    if estimated := [source.source for source in supply.sources if source.known == "estimated"]:
        found.append(f"The counts of {', '.join(estimated)} are estimated.")
    if not supply.lake:
        found.append(f"The counts are those of {supply.origin}, not of a lake: nothing can be launched from them.")
    if mix.normalised_from is not None:
        found.append(f"The shares of the mix {mix.name} sum to {mix.normalised_from:.6g} and were divided by it.")
    asked = {source.source for source in mix.sources}
    if left_out := [source for source in supply.sources if source.source not in asked and source.training_tokens]:
        tokens = human(sum(source.training_tokens for source in left_out))
        found.append(f"The mix leaves out {', '.join(s.source for s in left_out)}: {tokens} training tokens.")
    if repeated := [source.source for source in mix.sources if source.epochs > 1]:
        found.append(f"The mix repeats {', '.join(repeated)}.")
    return found


def run_alerts(model: Model, schedule: Schedule, run: Run) -> list[str]:
    """What a reader must know of the model and its run."""
    found = []
    if model.params > 1.25 * model.target_params:
        found.append(
            f"The smallest model for {model.vocabulary:,} ids has {human(model.params)} parameters, "
            f"{human(model.params / model.target_params)} times what the tokens afford."
        )
    if model.params < FITTED_PARAMS or schedule.tokens < FITTED_TOKENS:
        found.append(
            "The plan lies below the runs that the laws were fitted on (Hoffmann et al. 2022: 70 M to 16 B parameters, "
            "5 B to 500 B tokens): its figures are extrapolated."
        )
    if run.budget_share > 1.05:  # a shape is within 5 % of its target
        found.append(f"The run takes {human(run.budget_share)} times the budget.")
    return found


def _how_known(supply: Supply) -> str:
    how = ["provisional"] * supply.provisional
    how += ["estimated"] * any(source.known == "estimated" for source in supply.sources)
    how += ["sample"] * supply.sample
    return f" ({', '.join(how)})" if how else ""


def _bound(supply: Supply, mix: Mix) -> str:
    bound = next(source for source in mix.sources if source.source == mix.binding)
    return (
        f"{mix.binding} ends first: {human(bound.available)} training tokens at a share of {percent(bound.share)} "
        f"bound the mix, of {human(supply.training_tokens)} that are there."
    )


def _agreement(laws: list[LawFigure], law: LawFigure) -> str:
    others = [other for other in laws if other.limited_by != law.limited_by]
    low, high = (pick(entry.tokens for entry in laws) for pick in (min, max))
    spread = f"the laws ask for {human(low)} to {human(high)} tokens"
    if not others:
        return f"All {len(laws)} laws agree on what is short; {spread}."
    return f"{', '.join(o.law for o in others)} would call it {others[0].limited_by}-limited; {spread}."
