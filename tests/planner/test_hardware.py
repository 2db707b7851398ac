"""GPUs by the names people write, and what training reaches on them."""

from __future__ import annotations

from statistics import median

import pytest

from corpora.errors import ConfigError
from planner import hardware
from planner.hardware import default_utilisation, find, gpus


@pytest.mark.parametrize("gpu", gpus(), ids=lambda gpu: gpu.name)
def test_a_full_name_means_itself(gpu: hardware.Gpu) -> None:
    assert find(gpu.name) == find(f" {gpu.name.upper()} ") == gpu


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("a100-40gb", "A100-SXM-40GB"),
        ("A100 PCIe", "A100-PCIe-80GB"),
        ("h100", "H100-SXM-80GB"),  # the one SXM of three
        ("h100_nvl", "H100-NVL"),
        ("b200", "B200-SXM (HGX)"),
        ("gb200", "GB200 (per GPU)"),
        ("4090", "RTX-4090"),
        ("h200-141gb", "H200-SXM"),
    ],
)
def test_short_names(short: str, name: str) -> None:
    assert find(short).name == name


@pytest.mark.parametrize(
    ("short", "candidates"),
    [
        ("a100", ["A100-SXM-40GB", "A100-SXM-80GB", "A100-PCIe-80GB"]),
        ("v100-32gb", ["V100-SXM2", "V100-PCIe-32GB"]),
        ("192gb", ["B200-SXM (HGX)", "MI300X"]),  # of two families SXM says nothing
    ],
)
def test_an_ambiguous_name_is_refused(short: str, candidates: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        find(short)
    assert str(refused.value) == f"GPU {short!r} can be {', '.join(candidates)}: say which"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("h100-sxm5-80gb", ["H100-SXM-80GB"]),
        ("a100-nvl", ["no GPU"]),
        ("", ["V100-SXM2-16GB", "TPUv4"]),
        ("-", ["L40S"]),
    ],
)
def test_an_unknown_name_is_refused(name: str, said: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"no GPU is named '{name}'") as refused:
        find(name)
    assert all(words in str(refused.value) for words in said)


def test_peaks_are_dense() -> None:
    """Often printed wrongly: the sparse figures are 624, 1979 and 2615 TFLOP/s."""
    peaks = {name: find(name).peak for name in ("a100-40gb", "h100", "h200", "mi300x")}
    assert peaks == {"a100-40gb": 312e12, "h100": 989e12, "h200": 989e12, "mi300x": pytest.approx(1307.4e12)}
    assert find("a100-40gb").memory == 40e9


@pytest.mark.parametrize(
    ("gpu", "rows", "step_mfu", "value", "band"),
    [
        ("a100-80gb-sxm", 22, 0.335, 0.301, (0.190, 0.476)),
        ("h100", 14, 0.411, 0.370, (0.234, 0.584)),
    ],
)
def test_default_utilisation(gpu: str, rows: int, step_mfu: float, value: float, band: tuple[float, float]) -> None:
    """The medians of all published rows x 0.90, in a band of 2.5."""
    found = default_utilisation(find(gpu))
    assert found.step_mfu == pytest.approx(step_mfu, abs=6e-4)
    assert found.value == pytest.approx(value, abs=6e-4)
    assert (found.low, found.high) == pytest.approx(band, abs=6e-4)
    assert found.high / found.low == pytest.approx(2.5)
    assert f"of {rows} published" in found.source
    assert "0.90 (Grattafiori" in found.source
    assert "nearest" not in found.source


def test_hardware_utilisation_counts_for_three_quarters() -> None:
    """Ten rows of Megatron-LM (arXiv:2104.04473 Table 1): HFU 0.43 to 0.52, MFU by the factor 4/3 less."""
    shares = [hardware._mfu(row) for row in hardware.rows("mfu_anchors") if row["config"] == "PTD-P"]
    assert len(shares) == 10
    assert (min(shares), median(shares), max(shares)) == pytest.approx((0.3225, 0.341, 0.39), abs=1e-3)


def test_a_range_counts_as_its_midpoint() -> None:
    assert hardware._mfu({"utilization": "0.33-0.39", "kind": "mfu vs 989T"}) == pytest.approx(0.36)


@pytest.mark.parametrize("gpu", gpus(), ids=lambda gpu: gpu.name)
def test_every_gpu_has_a_default_and_says_where_it_borrows(gpu: hardware.Gpu) -> None:
    found = default_utilisation(gpu)
    lender = "H100" if gpu.family in ("H100", "H200", "H800", "B200", "GB200", "MI300X", "L40S") else "A100"
    assert found.value == default_utilisation(find(f"{lender}-SXM-80GB")).value
    assert (f"of the nearest family, {lender}" in found.source) == (gpu.family != lender)
