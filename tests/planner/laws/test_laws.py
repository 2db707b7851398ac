"""Scaling laws against figures that were published of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError
from planner.facts import rows
from planner.laws import laws, named
from planner.laws.chinchilla import parametric

BLOOMBERG = 0.75 * 1.3e6 * 3600 * 100e12  # the budget of arXiv:2303.17564 s3.2: 3.51e23
GOPHER = 5.76e23  # arXiv:2203.15556 s3
NAMES = [
    "chinchilla-approach-1",
    "chinchilla-approach-2",
    "chinchilla-approach-3",
    "kaplan",
    "20-tokens-per-parameter",
]


def test_names_in_the_order_of_a_plan() -> None:
    assert [law.name for law in laws()] == NAMES


@pytest.mark.parametrize("name", NAMES)
@given(flops=st.floats(1e17, 1e28))
def test_tokens_and_their_flops_are_inverse(name: str, flops: float) -> None:
    law = named(name)
    assert law.flops_for_tokens(law.tokens(flops)) == pytest.approx(flops)


@pytest.mark.parametrize("name", NAMES[2:])
@given(flops=st.floats(1e17, 1e28))
def test_optimum_costs_the_budget(name: str, flops: float) -> None:
    law = named(name)
    assert 6 * law.params(flops) * law.tokens(flops) == pytest.approx(flops)


@pytest.mark.parametrize(
    ("name", "params", "tokens"),
    [("chinchilla-approach-1", 52.993e9, 1111.112e9), ("chinchilla-approach-2", 49.753e9, 1175.766e9)],
)
def test_bloomberggpt_section_3_2(name: str, params: float, tokens: float) -> None:
    law = named(name)
    assert law.params(BLOOMBERG) == pytest.approx(params, rel=2e-5)
    assert law.tokens(BLOOMBERG) == pytest.approx(tokens, rel=2e-5)


@pytest.mark.parametrize(
    ("number", "params", "tokens"), [(1, (0.498, -1.004), (0.502, 0.229)), (2, (0.490, -0.839), (0.510, 0.062))]
)
def test_bloomberggpt_coefficients(number: int, params: tuple[float, float], tokens: tuple[float, float]) -> None:
    """arXiv:2303.17564 s3.2 prints slope and intercept in log10 to three decimals."""
    law = named(f"chinchilla-approach-{number}")
    assert (law.params_exponent, law.tokens_exponent) == pytest.approx((params[0], tokens[0]), abs=6e-4)
    assert (law.params_at_1, law.tokens_at_1) == pytest.approx((10 ** params[1], 10 ** tokens[1]), rel=2e-3)


@pytest.mark.parametrize(
    ("fit", "flops", "params", "tokens"),
    [
        ("hoffmann-2022-tex", 1e21, 2.217e9, 7.518e10),
        ("hoffmann-2022-tex", GOPHER, 4.036e10, 2.379e12),  # the paper's "40B"
        ("hoffmann-2022-rounded", 1e21, 1.824e9, 9.136e10),
        ("hoffmann-2022-rounded", GOPHER, 3.219e10, 2.982e12),
        ("besiroglu-2024", 1e21, 2.778e9, 5.999e10),
        ("besiroglu-2024", GOPHER, 7.225e10, 1.329e12),
    ],
)
def test_parametric_optimum(fit: str, flops: float, params: float, tokens: float) -> None:
    law = parametric(fit)
    assert law.params(flops) == pytest.approx(params, rel=3e-4)
    assert law.tokens(flops) == pytest.approx(tokens, rel=3e-4)


@pytest.mark.parametrize("fit", [row["name"] for row in rows("parametric_fits")])
def test_parametric_optimum_has_the_least_loss(fit: str) -> None:
    """eq. 4 against eq. 3: any other model for the same FLOPs is worse."""
    row = next(row for row in rows("parametric_fits") if row["name"] == fit)
    e, a, b, alpha, beta = (float(row[name]) for name in ("E", "A", "B", "alpha", "beta"))

    def loss(params: float) -> float:
        return e + a / params**alpha + b / (GOPHER / 6 / params) ** beta

    best = parametric(fit).params(GOPHER)
    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_approach_3_is_of_the_unrounded_constants() -> None:
    assert named("chinchilla-approach-3") == parametric("hoffmann-2022-tex")


def test_kaplan_at_1e21_as_chinchilla_d4_prints_it() -> None:
    assert named("kaplan").params(1e21) == pytest.approx(4.68e9, rel=1e-3)


def test_kaplan_tenfold_compute() -> None:
    """arXiv:2001.08361: mostly larger models."""
    law = named("kaplan")
    assert law.params(1e22) / law.params(1e21) == pytest.approx(5.370, abs=5e-4)
    assert law.tokens(1e22) / law.tokens(1e21) == pytest.approx(1.862, abs=5e-4)


def test_kaplan_tokens_at_one_pf_day() -> None:
    """Cmin of 1 PF-day is C of 2; Table 6 rounds 2.2e10 to 2e10."""
    table = next(row for row in rows("kaplan_table_6") if row["quantity"] == "optimal tokens")
    tokens = named("kaplan").tokens(2 * 8.64e19)
    assert tokens == pytest.approx(2.2e10, rel=0.01)
    assert round(tokens, -10) == float(table["at_1_pf_day"])


def test_twenty_tokens_for_each_parameter_at_any_budget() -> None:
    law = named("20-tokens-per-parameter")
    assert law.params(6 * 70e9 * 1.4e12) == pytest.approx(70e9)  # Chinchilla 70B, arXiv:2203.15556 Table 1
    assert law.tokens(6 * 70e9 * 1.4e12) == pytest.approx(1.4e12)


def test_tokens_afford_a_model() -> None:
    """Table 3 of arXiv:2203.15556, 10 B parameters on 205.1 B tokens, through the fit of all its rows."""
    law = named("chinchilla-approach-1")
    assert law.params(law.flops_for_tokens(205.1e9)) == pytest.approx(10e9, rel=0.03)


def test_unknown_law_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"chinchila-approach-1.*there is chinchilla-approach-1"):
        named("chinchila-approach-1")
    with pytest.raises(ConfigError, match=r"kaplan.*20-tokens-per-parameter"):
        named("??")
