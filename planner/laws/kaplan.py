"""The law of Kaplan et al. 2020, arXiv:2001.08361, that Chinchilla corrected: large models, few tokens."""

from __future__ import annotations

from planner.facts import rows
from planner.laws.law import Law

PF_DAY = 1e15 * 86_400  # FLOPs


def kaplan() -> Law:
    """N = 1.3e9 Cmin^0.73 (Table 6; Cmin in PF-days, N without embeddings) and D = C / (6 N).

    Cmin is what a run would need at a batch far below the critical one; training at the critical batch costs twice that
    (s5.1: Cmin = C / (1 + B / Bcrit)), so Cmin = C / 2.
    """
    row = next(row for row in rows("kaplan_table_6") if row["quantity"] == "optimal parameters")
    exponent = float(row["exponent"])
    params_at_1 = float(row["at_1_pf_day"]) * (1 / 2 / PF_DAY) ** exponent
    return Law(
        name="kaplan",
        params_at_1=params_at_1,
        params_exponent=exponent,
        tokens_at_1=1 / (6 * params_at_1),
        tokens_exponent=1 - exponent,
        source=f"{row['source']}; Cmin = C / 2 (training at the critical batch, s5.1) and D = C / (6 N)",
    )
