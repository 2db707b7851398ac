"""The budget: GPU-hours as training FLOPs, in the sense of C = 6 N D, with every factor and its source.

Two formulas that are never mixed. End to end: hours x peak x utilisation, which holds recomputation and downtime. From
hardware FLOP/s (HFU): hours x what the hardware does, of which recomputation and a reserve of hours are taken.
"""

from __future__ import annotations

import math

from corpora.errors import ConfigError
from planner.hardware import FULL_RECOMPUTATION, Gpu, default_utilisation
from planner.schema import Compute, Factor

SECONDS = Factor(name="seconds per hour", value=3600, unit="s/h", source="definition")
RECOMPUTATION = {
    "none": (1.0, "none: 1", "no activation is recomputed"),
    "full": (
        1 / FULL_RECOMPUTATION,
        "full: 4/3",
        "the forward pass, a third of 6 N D, runs twice: BloombergGPT arXiv:2303.17564 s3.2, Megatron arXiv:2104.04473",
    ),
}
AGREE = 1e-3  # how far GPU-hours may be from GPUs x days


def gpu_hours_of(
    gpu_hours: float | None = None, gpus: int | None = None, days: float | None = None
) -> tuple[float, int | None, float | None]:
    """GPU-hours, GPUs and days (of 24 hours) of a budget that gives some of them.

    GPU-hours alone say nothing of GPUs and days. Raises ConfigError where they are not enough, not positive, or not one
    budget: GPU-hours more than 0.1 % from GPUs x days.
    """
    for flag, value in (("--gpu-hours", gpu_hours), ("--gpus", gpus), ("--days", days)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{flag} {value} is no budget: it must be positive")
    if gpu_hours is None and (gpus is None or days is None):
        raise ConfigError("say the budget: --gpu-hours 1.3e6, or --gpus 512 --days 106")
    if gpus is None and days is not None:
        raise ConfigError(f"--days {days:g} says nothing beside --gpu-hours: give --gpus with it, or leave it out")
    if gpus is None:
        return gpu_hours, None, None
    if days is None:
        return gpu_hours, gpus, gpu_hours / 24 / gpus
    product = gpus * days * 24
    if gpu_hours is not None and not math.isclose(gpu_hours, product, rel_tol=AGREE):
        raise ConfigError(
            f"--gpu-hours {gpu_hours:,.0f} is not --gpus {gpus} x --days {days:g} x 24 = {product:,.0f}: leave one out"
        )
    return gpu_hours or product, gpus, days


def budget(
    gpu: Gpu,
    gpu_hours: float,
    *,
    gpus: int | None = None,
    days: float | None = None,
    utilisation: float | None = None,
    hfu_tflops: float | None = None,
    recompute: str | None = None,
    reserve: float | None = None,
) -> Compute:
    """Training FLOPs of some GPU-hours, end to end or, with `hfu_tflops`, from hardware FLOP/s.

    `gpus`, `days`: recorded only; see `gpu_hours_of`. `utilisation`: of the dense peak, end to end, in (0, 1]; default
    `default_utilisation`, whose band then gives `flops_range`. `hfu_tflops`: 10^12 FLOP/s of each GPU with
    recomputation counted, at most the dense peak. `recompute`: full or none (the default). `reserve`: share of the
    hours kept for failures, in [0, 1), 0 by default. Raises ConfigError for values outside these, and for arguments of
    both formulas together.
    """
    if not 0 < gpu_hours < math.inf:
        raise ConfigError(f"{gpu_hours} GPU-hours are no budget: they must be positive")
    band = None
    if hfu_tflops is not None:
        if utilisation is not None:
            raise ConfigError("--utilisation and --hfu-tflops both say what a GPU does: give one of them")
        formula = "GPU-hours x (1 - reserve) x 3600 s/h x hardware FLOP/s / recomputation factor"
        factors = _from_hardware(gpu, hfu_tflops, recompute, reserve)
    else:
        _refuse_twice(recompute, reserve)
        formula = "GPU-hours x 3600 s/h x dense peak x end-to-end utilisation"
        band = default_utilisation(gpu) if utilisation is None else None
        factors = _end_to_end(gpu, *((band.value, band.source) if band else (utilisation, "given")))
    factors = [Factor(name="GPU-hours", value=gpu_hours, unit="h", source="given"), SECONDS, *factors]
    flops = math.prod(factor.value for factor in factors)
    return Compute(
        gpu=gpu.name,
        gpus=gpus,
        days=days,
        gpu_hours=gpu_hours,
        formula=formula,
        factors=factors,
        flops=flops,
        utilisation=flops / (gpu_hours * SECONDS.value * gpu.peak),
        flops_range=band and (flops * band.low / band.value, flops * band.high / band.value),
    )


def hours(flops: float, compute: Compute) -> float:
    """GPU-hours that training FLOPs take at a budget's end-to-end utilisation."""
    return flops / compute.flops * compute.gpu_hours


def _refuse_twice(recompute: str | None, reserve: float | None) -> None:
    for flag, given, counted in (("--recompute", recompute, "recomputation"), ("--reserve", reserve, "downtime")):
        if given is not None:
            raise ConfigError(
                f"{flag} needs --hfu-tflops: end-to-end utilisation holds {counted}, which would count twice"
            )


def _end_to_end(gpu: Gpu, utilisation: float, source: str) -> list[Factor]:
    if not 0 < utilisation <= 1:
        raise ConfigError(f"--utilisation {utilisation:g} is no share of the dense peak: write 0.35 for 35 %")
    return [
        Factor(name="dense peak", value=gpu.peak, unit="FLOP/s", source=gpu.source),
        Factor(name="utilisation, end to end", value=utilisation, unit="1", source=source),
    ]


def _from_hardware(gpu: Gpu, hfu_tflops: float, recompute: str | None, reserve: float | None) -> list[Factor]:
    if not 0 < hfu_tflops * 1e12 <= gpu.peak:
        raise ConfigError(
            f"--hfu-tflops {hfu_tflops:g} is not within the dense peak of {gpu.name}, {gpu.peak / 1e12:g} TFLOP/s"
            " (sparse figures are often printed as dense)"
        )
    if reserve is not None and not 0 <= reserve < 1:
        raise ConfigError(f"--reserve {reserve:g} is no share of the hours: write 0.3 for 30 %")
    if recompute is not None and recompute not in RECOMPUTATION:
        raise ConfigError(f"--recompute {recompute!r} is not known; there is {', '.join(RECOMPUTATION)}")
    share, label, why = RECOMPUTATION[recompute or "none"]
    return [
        Factor(
            name="1 - reserve", value=1 - (reserve or 0), unit="1", source="none given" if reserve is None else "given"
        ),
        Factor(name="hardware FLOP/s", value=hfu_tflops * 1e12, unit="FLOP/s", source="given"),
        Factor(name=f"1 / recomputation factor ({label})", value=share, unit="1", source=why),
    ]
