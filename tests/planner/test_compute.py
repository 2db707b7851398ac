"""A budget in GPU-hours as training FLOPs: no factor counted twice, none without its source."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError
from planner.compute import budget, gpu_hours_of, hours
from planner.hardware import default_utilisation, find

A100 = find("a100-40gb")
H100 = find("h100")
HOURS = st.floats(1, 1e9)
SHARES = st.floats(0.01, 1)


def test_bloomberggpt_budget() -> None:
    """arXiv:2303.17564 s3.2: 1.3 M A100-hours at 100 TFLOP/s (inferred), of which full checkpointing leaves 0.75."""
    compute = budget(A100, 1.3e6, hfu_tflops=100, recompute="full")
    assert compute.flops == pytest.approx(3.51e23, rel=1e-12)
    assert compute.utilisation == pytest.approx(0.75 * 100 / 312)
    assert compute.flops_range is None


def test_bloomberggpt_run() -> None:
    """Table 4: 102 TFLOP/s and 2.36e23 FLOPs in 643,413 hours; both count recomputation, 6 N D is 1.725e23."""
    printed = budget(A100, 643_413, hfu_tflops=102)
    assert printed.flops == pytest.approx(2.36e23, rel=2e-3)
    # What 6 N D leaves out (attention, embedding) is 3 % of this run.
    trained = budget(A100, 643_413, hfu_tflops=102, recompute="full")
    assert trained.flops == pytest.approx(6 * 50_558_868_480 * 568_747_622_400, rel=0.03)
    assert hours(printed.flops, printed) == pytest.approx(643_413)


def test_llama_3_1_405b_lies_in_the_default_band() -> None:
    """Model card: 30.84 M H100-hours for 3.8e25 FLOPs."""
    low, high = budget(H100, 30.84e6).flops_range
    assert low < 3.8e25 < high


@given(gpu_hours=HOURS, tflops=st.floats(1, 312), full=st.booleans(), reserve=st.floats(0, 0.9))
def test_hardware_formula(gpu_hours: float, tflops: float, full: bool, reserve: float) -> None:
    recompute = "full" if full else "none"
    compute = budget(A100, gpu_hours, hfu_tflops=tflops, recompute=recompute, reserve=reserve)
    expected = gpu_hours * (1 - reserve) * 3600 * tflops * 1e12 / (4 / 3 if full else 1)
    assert compute.flops == pytest.approx(expected)
    assert compute.flops == pytest.approx(math.prod(factor.value for factor in compute.factors))
    # The same through the other formula, at the utilisation that comes out.
    assert budget(A100, gpu_hours, utilisation=compute.utilisation).flops == pytest.approx(compute.flops)


@given(gpu_hours=HOURS, utilisation=SHARES)
def test_end_to_end_formula(gpu_hours: float, utilisation: float) -> None:
    compute = budget(H100, gpu_hours, utilisation=utilisation)
    assert compute.flops == pytest.approx(gpu_hours * 3600 * 989e12 * utilisation)
    assert compute.flops == pytest.approx(math.prod(factor.value for factor in compute.factors))
    assert compute.utilisation == pytest.approx(utilisation)
    assert compute.flops_range is None


def test_default_utilisation_brings_its_band() -> None:
    compute, default = budget(A100, 1e6), default_utilisation(A100)
    whole = 1e6 * 3600 * 312e12
    assert compute.flops / whole == pytest.approx(default.value)
    assert compute.flops_range == pytest.approx((whole * default.low, whole * default.high))
    assert default.source in [factor.source for factor in compute.factors]


@given(gpu_hours=HOURS, share=SHARES)
def test_hours_of_a_share_of_the_budget(gpu_hours: float, share: float) -> None:
    compute = budget(A100, gpu_hours)
    assert hours(compute.flops * share, compute) == pytest.approx(gpu_hours * share)


@pytest.mark.parametrize("given", [{}, {"utilisation": 0.4}, {"hfu_tflops": 102}, {"hfu_tflops": 102, "reserve": 0.3}])
def test_every_factor_says_where_it_comes_from(given: dict[str, float]) -> None:
    assert all(factor.source and factor.unit for factor in budget(A100, 1e6, **given).factors)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"recompute": "full"}, "--recompute needs --hfu-tflops: .* recomputation, which would count twice"),
        ({"recompute": "none"}, "--recompute needs --hfu-tflops"),
        ({"reserve": 0.3}, "--reserve needs --hfu-tflops: .* downtime, which would count twice"),
        ({"utilisation": 0.3, "recompute": "full"}, "--recompute needs --hfu-tflops"),
        ({"utilisation": 0.3, "hfu_tflops": 102}, "give one"),
        ({"utilisation": 0}, "--utilisation 0 is no share"),
        ({"utilisation": 35}, "write 0.35"),
        ({"utilisation": math.nan}, "no share"),
        ({"hfu_tflops": 624}, "dense peak of A100-SXM-40GB, 312 TFLOP/s .*sparse"),
        ({"hfu_tflops": 0}, "--hfu-tflops 0 "),
        ({"hfu_tflops": 102e12}, "--hfu-tflops 1.02e\\+14 "),
        ({"hfu_tflops": 102, "reserve": 1}, "--reserve 1 is no share"),
        ({"hfu_tflops": 102, "reserve": -0.1}, "--reserve -0.1 is no share"),
        ({"hfu_tflops": 102, "recompute": "selective"}, "'selective' is not known; there is none, full"),
        ({"gpu_hours": 0}, "no budget"),
        ({"gpu_hours": math.inf}, "no budget"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        budget(A100, **{"gpu_hours": 1.3e6} | given)


def test_limits_are_allowed() -> None:
    assert budget(A100, 1, utilisation=1).flops == budget(A100, 1, hfu_tflops=312, reserve=0).flops == 3600 * 312e12


@pytest.mark.parametrize(
    ("given", "budgeted"),
    [
        ((1.3e6, None, None), (1.3e6, None, None)),
        ((1.2e6, 500, None), (1.2e6, 500, 100)),
        ((None, 512, 53), (651_264, 512, 53)),  # BloombergGPT, arXiv:2303.17564 s4: about 53 days
        ((651_000, 512, 53), (651_000, 512, 53)),  # 0.04 % apart
    ],
)
def test_gpu_hours(given: tuple, budgeted: tuple) -> None:
    assert gpu_hours_of(*given) == budgeted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((None, None, None), "say the budget: --gpu-hours 1.3e6, or --gpus 512 --days 106"),
        ((None, None, 53), "say the budget"),
        ((None, 512, None), "say the budget"),
        ((1.3e6, None, 53), "--days 53 says nothing"),
        ((643_413, 512, 53), "--gpu-hours 643,413 is not --gpus 512 x --days 53 x 24 = 651,264"),
        ((None, 0, 53), "--gpus 0 is no budget"),
        ((1.3e6, -8, None), "--gpus -8 is no budget"),
        ((math.nan, 512, 53), "--gpu-hours nan is no budget"),
    ],
)
def test_no_budget(given: tuple, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        gpu_hours_of(*given)
