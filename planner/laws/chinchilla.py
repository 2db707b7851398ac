"""The three approaches of Hoffmann et al. 2022 (Chinchilla), arXiv:2203.15556."""

from __future__ import annotations

from math import log10
from statistics import linear_regression

from planner.facts import rows
from planner.laws.law import Law

PAPER = "Hoffmann et al. 2022 arXiv:2203.15556"
TABLES = {1: "Table 3", 2: "Table A3"}


def approach(number: int) -> Law:
    """Approach 1 or 2: least squares of log10 N and log10 D on log10 C over the nine rows of the paper's table.

    Unrounded, because coefficients of three decimals are off by up to 0.7 % at 3.5e23 FLOPs; BloombergGPT
    (arXiv:2303.17564 s3.2) sized its model this way.
    """
    points = [row for row in rows("chinchilla_table_a3") if row["approach"] == str(number)]
    flops, params, tokens = ([log10(float(row[name])) for row in points] for name in ("flops", "params", "tokens"))
    of_params, of_tokens = linear_regression(flops, params), linear_regression(flops, tokens)
    return Law(
        name=f"chinchilla-approach-{number}",
        params_at_1=10**of_params.intercept,
        params_exponent=of_params.slope,
        tokens_at_1=10**of_tokens.intercept,
        tokens_exponent=of_tokens.slope,
        source=f"{PAPER} {TABLES[number]}, approach {number}; least squares on log10 of its {len(points)} rows",
    )


def parametric(fit: str = "hoffmann-2022-tex", name: str = "chinchilla-approach-3") -> Law:
    """Approach 3: the minimum of L = E + A / N^alpha + B / D^beta on 6 N D = C, in closed form (eq. 4).

    `fit`: a row of `planner/facts/parametric_fits.csv`. The default are the constants of the paper's TeX source: those
    printed in eq. 10 have two decimals, which moves Gopher's optimum (5.76e23 FLOPs) from 40 B to 32 B parameters, and
    40 B is what the paper says.
    """
    row = next(row for row in rows("parametric_fits") if row["name"] == fit)
    a, b, alpha, beta = (float(row[constant]) for constant in ("A", "B", "alpha", "beta"))
    scale = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    params_exponent, tokens_exponent = beta / (alpha + beta), alpha / (alpha + beta)
    return Law(
        name=name,
        params_at_1=scale / 6**params_exponent,
        params_exponent=params_exponent,
        tokens_at_1=1 / (scale * 6**tokens_exponent),
        tokens_exponent=tokens_exponent,
        source=f"eq. 4 with A {a:g}, B {b:g}, alpha {alpha:.8g}, beta {beta:.8g}; {row['source']}",
    )
