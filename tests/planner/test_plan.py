"""The plan: BloombergGPT's budget, what binds, what is said, and the published schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from corpora.errors import ConfigError
from planner import compute, hardware, laws, mix, plan
from planner.schema import Plan, Supply

SCHEMA = Path(__file__).parents[2] / "docs" / "plan.schema.json"


def made(supply: Supply, hours: float = 1.3e6, law: str = plan.LAW, mix_name: str = "proportional") -> Plan:
    """A plan with BloombergGPT's budget: A100 40 GB, 100 TFLOP/s, full recomputation."""
    budget = compute.budget(hardware.find("a100-40gb"), hours, hfu_tflops=100, recompute="full")
    return plan.make("p", supply, mix.load(mix_name), budget, laws.named(law))


def test_bloomberggpts_supply_and_budget_give_its_laws(bloomberggpt: Supply) -> None:
    found = made(bloomberggpt)
    assert found.compute.flops == pytest.approx(3.51e23)
    by_law = {figure.law: figure for figure in found.laws}
    assert list(by_law) == [
        "chinchilla-approach-1", "chinchilla-approach-2", "chinchilla-approach-3", "kaplan", "20-tokens-per-parameter",
    ]  # fmt: skip
    # arXiv:2303.17564, section 3.2
    assert by_law["chinchilla-approach-1"].params == pytest.approx(52.993e9, rel=1e-5)
    assert by_law["chinchilla-approach-1"].tokens == pytest.approx(1111.112e9, rel=1e-5)
    assert by_law["chinchilla-approach-2"].params == pytest.approx(49.753e9, rel=2e-5)
    assert by_law["chinchilla-approach-2"].tokens == pytest.approx(1175.766e9, rel=1e-5)
    assert found.verdict.limited_by == "data"
    assert found.verdict.factor == pytest.approx(1111.118e9 / 711_066_300_000, rel=1e-5)


def test_short_tokens_make_the_plan_the_model_they_afford(bloomberggpt: Supply) -> None:
    found = made(bloomberggpt)
    law = next(figure for figure in found.laws if figure.law == found.verdict.law)
    assert law.affords_params == pytest.approx(laws.named(law.law).params(law.affords_flops))
    assert laws.named(law.law).tokens(law.affords_flops) == pytest.approx(found.mix.largest)
    assert found.model.target_params == law.affords_params
    assert 0 <= found.mix.largest - found.schedule.tokens < found.schedule.batch * found.schedule.sequence
    assert found.mix.budget == found.schedule.tokens == sum(source.tokens for source in found.mix.sources)
    assert all(source.tokens <= source.available for source in found.mix.sources)
    assert found.run.flops == 6 * found.model.params * found.schedule.tokens
    assert found.run.gpu_hours == pytest.approx(1.3e6 * found.run.flops / 3.51e23)


def test_short_compute_makes_the_plan_the_model_it_pays_for(bloomberggpt: Supply) -> None:
    found = made(bloomberggpt, hours=1e5)
    assert found.verdict.limited_by == "compute"
    assert found.verdict.factor > 1
    assert found.mix.budget == found.schedule.tokens < found.mix.largest
    assert all(source.epochs < 0.5 for source in found.mix.sources)
    assert found.run.budget_share == pytest.approx(1, abs=0.02)
    assert found.run.flops <= found.compute.flops


def test_the_verdict_names_the_law_that_disagrees_and_the_source_that_binds(bloomberggpt: Supply) -> None:
    text = " ".join(made(bloomberggpt, mix_name="bloomberggpt").verdict.sentences)
    assert "kaplan would call it compute-limited" in text
    assert "inhouse ends first" in text
    assert made(bloomberggpt, law="kaplan").verdict.limited_by == "compute"


def test_estimated_and_provisional_supply_is_named_first(bloomberggpt: Supply) -> None:
    web = bloomberggpt.sources[0].model_copy(update={"known": "estimated"})
    guessed = bloomberggpt.model_copy(update={"sources": [web, *bloomberggpt.sources[1:]], "provisional": True})
    found = made(guessed)
    assert "(provisional, estimated)" in found.verdict.sentences[0]
    assert any("web are estimated" in alert for alert in found.alerts)
    assert any("provisional" in alert for alert in found.alerts)


@pytest.mark.parametrize(
    ("hours", "said"),
    [(1, "Its parameters and tokens lie outside"), (3e4, None), (1.3e6, "Its parameters and tokens")],
)
def test_a_plan_outside_the_fitted_runs_is_said_to_be_extrapolated(
    bloomberggpt: Supply, hours: float, said: str | None
) -> None:
    alerts = [alert for alert in made(bloomberggpt, hours).alerts if "extrapolated" in alert]
    assert [alert.startswith(said) for alert in alerts] == ([True] if said else [])


def test_a_default_utilisation_whose_band_turns_the_verdict_over_is_said(bloomberggpt: Supply) -> None:
    gpu, law = hardware.find("a100-40gb"), laws.named(plan.LAW)
    for hours, turns in ((6e5, True), (6e6, False)):
        found = plan.make("p", bloomberggpt, mix.load("proportional"), compute.budget(gpu, hours), law)
        assert any("can turn this verdict over" in sentence for sentence in found.verdict.sentences) is turns
        for flops, ratio in zip(found.compute.flops_range, reversed(found.laws[0].available_ratio_range)):
            assert ratio == pytest.approx(found.mix.largest / law.tokens(flops))


def test_near_balance_nothing_false_is_said(bloomberggpt: Supply) -> None:
    needed = made(bloomberggpt).laws[0].affords_flops / 3.51e23 * 1.3e6
    for factor in (0.995, 1.0000001, 1.005):
        text = " ".join(made(bloomberggpt, needed * factor).verdict.sentences)
        assert "Balanced to 2 %" in text
        assert "more than the law calls optimal" not in text


def test_counts_whose_tokenizer_is_not_named_are_said(bloomberggpt: Supply) -> None:
    web = bloomberggpt.sources[0].model_copy(update={"tokenizer": "gpt2"})
    found = made(bloomberggpt.model_copy(update={"sources": [web, *bloomberggpt.sources[1:]]}))
    assert any("taken as those of gpt2" in alert for alert in found.alerts)


def test_more_gpus_than_the_batch_has_rows_is_said(bloomberggpt: Supply) -> None:
    budget = compute.budget(hardware.find("h100"), 24 * 16384 * 30, gpus=16384, days=30)
    found = plan.make("p", bloomberggpt, mix.load("proportional"), budget, laws.named(plan.LAW))
    assert found.schedule.batch == 16384
    assert any("GPU has a row of it" in alert for alert in found.alerts)


def test_equal_inputs_give_equal_bytes(bloomberggpt: Supply) -> None:
    assert plan.to_json(made(bloomberggpt)) == plan.to_json(made(bloomberggpt))


def test_the_published_schema_is_that_of_the_code_and_accepts_a_plan(bloomberggpt: Supply, tmp_path: Path) -> None:
    assert SCHEMA.read_bytes() == plan.json_schema(), "run: assay plan --schema > docs/plan.schema.json"
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    content = plan.to_json(made(bloomberggpt))
    jsonschema.validate(json.loads(content), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(content) | {"verdict": None}, schema)
    (tmp_path / "plan.json").write_bytes(content)
    assert plan.from_json(tmp_path / "plan.json") == (made(bloomberggpt), content)


def test_a_plan_whose_steps_do_not_add_up_is_refused(bloomberggpt: Supply, tmp_path: Path) -> None:
    content = json.loads(plan.to_json(made(bloomberggpt)))
    content["schedule"]["steps"] += 1
    (tmp_path / "plan.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(ConfigError, match=r"schedule: .*steps x batch x sequence is not"):
        plan.from_json(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("content", "said"), [("{}", "name: Field required"), ("[", "Invalid JSON"), ('{"format": 2}', "format")]
)
def test_a_file_that_is_no_plan_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=f"no plan of this version.*{said}"):
        plan.from_json(tmp_path / "plan.json")
    with pytest.raises(ConfigError, match="there is no plan"):
        plan.from_json(tmp_path / "other.json")
