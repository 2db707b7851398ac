"""A scaling law, as a planner asks it: which model and how many tokens for a budget, which budget for some tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """Compute-optimal parameters N and training tokens D as power laws of the training FLOPs C, where C = 6 N D.

    Laws that were fitted to N and D apart (Chinchilla's approaches 1 and 2) keep 6 N D = C to about 1 %, the others
    exactly. FLOPs and tokens are positive.
    """

    name: str
    params_at_1: float
    """N at C = 1 FLOP."""
    params_exponent: float
    tokens_at_1: float
    """D at C = 1 FLOP."""
    tokens_exponent: float
    source: str
    """Citation, and which constants."""

    def params(self, flops: float) -> float:
        """Parameters of the compute-optimal model."""
        return self.params_at_1 * flops**self.params_exponent

    def tokens(self, flops: float) -> float:
        """Training tokens of the compute-optimal model."""
        return self.tokens_at_1 * flops**self.tokens_exponent

    def flops_for_tokens(self, tokens: float) -> float:
        """The training FLOPs for which that many tokens are optimal: `params` of it is the model they afford."""
        return (tokens / self.tokens_at_1) ** (1 / self.tokens_exponent)
