"""Quantities as people write and read them: 1.3M, 569B, 2.36e23. B is 10^9, never 2^30."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from corpora.errors import ConfigError

SUFFIXES = {"": 0, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12}
WHOLE = r"\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*"  # a comma stands between thousands only: 1,3M is not 13M
QUANTITY = re.compile(
    rf"([+-]?(?:(?:{WHOLE})(?:\.\d*)?|\.\d+)(?:e[+-]?\d{{1,3}})?)\s*([kmbgt]?)", re.IGNORECASE | re.ASCII
)
MOST_TOKENS = 1e17  # a million times what was ever written down
MOST_GPU_HOURS = 1e12
SHOWN = ((1e12, " T"), (1e9, " B"), (1e6, " M"))
FROM_THEN_ON = 1e16  # larger numbers are FLOPs, shown with an exponent


def quantity(text: str, most: float = math.inf) -> float:
    """A positive number: `1300000`, `1.3e6`, `1.3M`, `1,300,000`; at most `most`. Raises ConfigError otherwise."""
    found = QUANTITY.fullmatch(text.strip())
    number = found and found[1].replace(",", "").replace("_", "")
    # One conversion of one decimal text, so that 1.3M and 1.3e6 are the same float.
    mantissa, _, exponent = number.lower().partition("e") if found else ("nan", "", "")
    value = float(f"{mantissa}e{int(exponent or 0) + SUFFIXES[found[2].upper()]}") if found else math.nan
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{text!r} is no positive number: write 1300000, 1.3e6 or 1.3M")
    if value > most:
        raise ConfigError(f"{text!r} is more than there can be: at most {most:g}")
    return value


def some(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def percent(share: float) -> str:
    """A share of 1 as people read it: 41.37 %."""
    return "< 0.01 %" if 0 < share < 1e-4 else f"{100 * share:.2f} %"


def ratio(value: float) -> str:
    """A ratio to three digits, zeros kept: 1.00, 21.0, 0.515; from 100 on as a count."""
    return human(value) if value >= 100 else f"{value:#.3g}"


def counted(value: float, noun: str) -> str:
    """A count and what it counts: 1 step, 196 steps."""
    return f"{human(value)} {noun}{'' if value == 1 else 's'}"


def human(value: float, digits: int = 3) -> str:
    """A count as people read it: 1,234 or 53.0 B or 1.11 T; from 1e16 on as 3.51e+23.

    `digits`: significant digits of the shortened forms.
    """
    if abs(value) >= FROM_THEN_ON:
        return f"{value:.{digits - 1}e}"
    rounded = abs(float(f"{value:.{digits - 1}e}"))  # 999.9 B is 1.00 T
    for size, suffix in SHOWN:
        if rounded >= size:
            return f"{value / size:,.{max(0, digits - 1 - math.floor(math.log10(rounded / size)))}f}{suffix}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.{digits}g}"
