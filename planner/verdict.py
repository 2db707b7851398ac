"""The verdict: what the figures say, in words."""

from __future__ import annotations

from planner.schedule import law_batch
from planner.schema import Compute, LawFigure, Mix, Model, Run, Schedule, Supply, Verdict
from planner.units import counted, human, percent, ratio, some

# Chinchilla's runs, least and most parameters and tokens: Hoffmann et al. 2022, arXiv:2203.15556, abstract
FITTED_PARAMS, FITTED_TOKENS = (70e6, 16e9), (5e9, 500e9)
BALANCED = 1.02  # times: approaches 1 and 2 keep 6 N D = C to about 1 %
TOO_FEW = 10  # times: from there on a model that uses up the budget is no alternative


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
    data = law.limited_by == "data"
    binding = mix.binding if data else None
    return Verdict(
        limited_by=law.limited_by,
        factor=1 / law.available_ratio if data else law.available_ratio,
        law=law.law,
        binding=binding,
        sentences=[
            _limit(supply, mix, compute, law),
            *([_bound(supply, mix)] if binding else []),
            *_turned_over(law),
            _afforded(mix, compute, law),
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
        found.append(f"The counts of {some(estimated)} are estimated.")
    if not supply.lake:
        found.append(f"The counts are those of {supply.origin}, not of a lake: nothing can be launched from them.")
    named = sorted({source.tokenizer for source in supply.sources if source.tokenizer})
    if named and (unnamed := [source.source for source in supply.sources if not source.tokenizer]):
        found.append(f"The tokenizer of {some(unnamed)} is not named: the counts are taken as those of {named[0]}.")
    if mix.normalised_from is not None:
        found.append(f"The shares of the mix {mix.name} sum to {mix.normalised_from:.6g} and were divided by it.")
    asked = {source.source for source in mix.sources}
    if left_out := [source for source in supply.sources if source.source not in asked and source.training_tokens]:
        tokens = human(sum(source.training_tokens for source in left_out))
        found.append(f"The mix leaves out {some([s.source for s in left_out])}: {tokens} training tokens.")
    if repeated := [source.source for source in mix.sources if source.epochs > 1]:
        found.append(f"The mix repeats {some(repeated)}.")
    return found


def run_alerts(model: Model, schedule: Schedule, run: Run) -> list[str]:
    """What a reader must know of the model and its run."""
    found = []
    miss = model.params / model.target_params
    if not 1 / 1.05 < miss < 1.05:
        found.append(
            f"The nearest shape for {model.vocabulary:,} ids has {human(model.params)} parameters, {ratio(miss)} times "
            f"the {human(model.target_params)} aimed at."
        )
    sizes = {"parameters": (model.params, FITTED_PARAMS), "tokens": (schedule.tokens, FITTED_TOKENS)}
    if outside := [name for name, (size, (least, most)) in sizes.items() if not least <= size <= most]:
        found.append(
            f"Its {' and '.join(outside)} lie outside the runs that Chinchilla's laws were fitted on (70 M to 16 B "
            "parameters, 5 B to 500 B tokens: Hoffmann et al. 2022): the figures are extrapolated."
        )
    batch, by_law = schedule.batch * schedule.sequence, law_batch(run.flops)
    if schedule.batch > 1 and batch > 2 * by_law:
        found.append(
            f"A batch of {human(batch)} tokens is {ratio(batch / by_law)} times what its law asks for, because every "
            "GPU has a row of it."
        )
    if run.budget_share > 1.05:
        found.append(f"The run takes {ratio(run.budget_share)} times the budget.")
    return found


def _limit(supply: Supply, mix: Mix, compute: Compute, law: LawFigure) -> str:
    paid = f"{counted(compute.gpu_hours, 'GPU-hour')} of {compute.gpu} ({human(compute.flops)} FLOP)"
    has = f"the mix {mix.name} has {human(mix.largest)}{_how_known(supply)}"
    if 1 / BALANCED < law.available_ratio < BALANCED:
        return (
            f"Balanced to 2 %: {law.law} asks for {human(law.tokens)} training tokens on {paid}; {has}, and what is "
            f"short is {law.limited_by}."
        )
    if law.limited_by == "data":
        return (
            f"Data-limited by a factor of {ratio(1 / law.available_ratio)}: {law.law} asks for {human(law.tokens)} "
            f"training tokens on {paid}; {has}."
        )
    return (
        f"Compute-limited: {has} training tokens, {ratio(law.available_ratio)} times the {human(law.tokens)} that "
        f"{paid} pay for by {law.law}."
    )


def _turned_over(law: LawFigure) -> list[str]:
    """What the band of a default utilisation does to the verdict, where it changes it."""
    if law.available_ratio_range is None or not law.available_ratio_range[0] < 1 < law.available_ratio_range[1]:
        return []
    low, high = map(ratio, law.available_ratio_range)
    return [
        f"The utilisation is a default: over its band the tokens are {low} to {high} times what is asked for, so a "
        "measured --utilisation can turn this verdict over."
    ]


def _afforded(mix: Mix, compute: Compute, law: LawFigure) -> str:
    if law.limited_by == "compute":
        return (
            f"All of the tokens would be optimal for {human(law.affords_params)} parameters, at "
            f"{ratio(law.affords_flops / compute.flops)} times the budget."
        )
    spent = compute.flops / (6 * mix.largest)
    spend = ""
    if 1.05 * law.affords_params < spent and law.available_ratio > 1 / TOO_FEW:
        spend = f"; spending all of it on them would train {human(spent)} parameters, more than the law calls optimal"
    return (
        f"Those tokens afford {human(law.affords_params)} parameters and {human(law.affords_flops)} FLOP, "
        f"{percent(law.affords_flops / compute.flops)} of the budget{spend}."
    )


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
