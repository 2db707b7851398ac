"""GPUs and the share of their peak that training reaches: `facts/gpus.csv` and `facts/mfu_anchors.csv`."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import sqrt
from statistics import mean, median

from corpora.errors import ConfigError
from planner.facts import rows

# Full recomputation runs the forward pass (a third of a step's FLOPs) twice: hardware FLOPs are 4/3 of the model's.
FULL_RECOMPUTATION = 4 / 3
BAND = 2.5  # high / low of the default utilisation; our choice, made before it was compared with published runs


@dataclass(frozen=True)
class Gpu:
    """An accelerator."""

    name: str
    """Full name, as in `facts/gpus.csv`."""
    peak: float
    """Dense BF16 FLOP/s (FP16 where there is no BF16), without sparsity."""
    memory: float
    """Bytes."""
    source: str
    """Citation of the peak."""

    @property
    def family(self) -> str:
        """First word of the name: A100 for A100-SXM-40GB."""
        return _words(self.name)[0]


@dataclass(frozen=True)
class Utilisation:
    """Share of the dense peak that training FLOPs (6 N D) make of all GPU-hours, end to end."""

    value: float
    """step_mfu x downtime."""
    low: float
    high: float
    """2.5 x `low`; `value` is their geometric mean."""
    step_mfu: float
    """Share while steps run; the rest of `value` is a factor for hours in which no step runs."""
    source: str


def gpus() -> tuple[Gpu, ...]:
    """All GPUs of `facts/gpus.csv`, in its order."""
    return tuple(
        Gpu(
            name=row["gpu"],
            peak=float(row["bf16_or_fp16_dense_tflops"]) * 1e12,
            memory=float(row["mem_GB"]) * 1e9,
            source=row["source"],
        )
        for row in rows("gpus")
    )


def find(name: str) -> Gpu:
    """The GPU that a full or short name means: `H100-SXM-80GB`, `a100-40gb`, `h100`, `4090`, in any case.

    A short name means the GPUs that have all its words, in their name or as their memory (`80gb`); of several of one
    family the one that is SXM. Raises ConfigError, naming the candidates, where that is none or more than one.
    """
    known = {gpu.name.lower(): gpu for gpu in gpus()}
    if full := known.get(name.strip().lower()):
        return full
    words = set(_words(name.lower()))
    found = [gpu for gpu in known.values() if words and words <= {*_words(gpu.name.lower()), f"{gpu.memory / 1e9:g}gb"}]
    sxm = [gpu for gpu in found if "SXM" in _words(gpu.name)]
    if len(sxm) == 1 and len({gpu.family for gpu in found}) == 1:
        return sxm[0]
    if not found:
        near = [known[match].name for match in difflib.get_close_matches(name.lower(), known)]
        raise ConfigError(
            f"no GPU is named {name!r}; there is {', '.join(near or (gpu.name for gpu in known.values()))}"
        )
    if len(found) > 1:
        raise ConfigError(f"GPU {name!r} can be {', '.join(gpu.name for gpu in found)}: say which")
    return found[0]


def default_utilisation(gpu: Gpu) -> Utilisation:
    """What training reaches on a GPU where nobody measured it: median published step-time MFU x downtime factor.

    GPUs without published rows take those of the family that `facts/nearest_family.csv` names.
    """
    family = next(row["nearest"] for row in rows("nearest_family") if row["family"] == gpu.family)
    shares = [_mfu(row) for row in rows("mfu_anchors") if _words(row["gpu"])[0] == family]
    (downtime,) = rows("downtime")
    step_mfu, factor = median(shares), float(downtime["factor"])
    value = step_mfu * factor
    whose = "" if family == gpu.family else f"no published MFU of {gpu.name}, so that of the nearest family, {family}: "
    return Utilisation(
        value=value,
        low=value / sqrt(BAND),
        high=value * sqrt(BAND),
        step_mfu=step_mfu,
        source=f"{whose}median step-time MFU {step_mfu:.3f} of {len(shares)} published measurements of {family}"
        f" (planner/facts/mfu_anchors.csv) x downtime factor {factor:.2f} ({downtime['source']})",
    )


def _mfu(row: dict[str, str]) -> float:
    """Step-time MFU of a row of `facts/mfu_anchors.csv`; the midpoint where it is a range."""
    value = mean(map(float, row["utilization"].split("-")))
    return value / FULL_RECOMPUTATION if row["kind"] == "hfu_with_recompute" else value


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[-_\s()]+", name) if word]
