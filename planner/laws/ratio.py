"""The rule of thumb that people quote for Chinchilla: a fixed number of tokens for each parameter."""

from __future__ import annotations

from planner.laws.law import Law

TOKENS_PER_PARAMETER = 20


def ratio() -> Law:
    """D = 20 N, so that C = 6 N D = 120 N^2 and N = sqrt(C / 120)."""
    params_at_1 = (6 * TOKENS_PER_PARAMETER) ** -0.5
    return Law(
        name=f"{TOKENS_PER_PARAMETER}-tokens-per-parameter",
        params_at_1=params_at_1,
        params_exponent=0.5,
        tokens_at_1=TOKENS_PER_PARAMETER * params_at_1,
        tokens_exponent=0.5,
        source="rule of thumb: Hoffmann et al. 2022 arXiv:2203.15556 Table 3 has 20.0 to 22.4 tokens a parameter",
    )
