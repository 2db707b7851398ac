"""Quantities as people write and read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError
from planner.units import human, quantity


@pytest.mark.parametrize(
    "text", ["1300000", "1.3e6", "1.3E+6", "1.3M", "1.3m", "1,300,000", "1_300_000", " 1300 K ", "+.0013G"]
)
def test_one_number_written_in_many_ways(text: str) -> None:
    assert quantity(text) == 1_300_000


@pytest.mark.parametrize(
    ("text", "value"), [("569B", 569_000_000_000), ("1.11 T", 1.11e12), ("2.36e23", 2.36e23), ("0.5", 0.5)]
)
def test_suffixes_are_powers_of_ten(text: str, value: float) -> None:
    assert quantity(text) == value


@given(st.decimals("0.001", "9999", places=3), st.sampled_from([("K", 3), ("M", 6), ("B", 9), ("T", 12)]))
def test_a_suffix_is_an_exponent_to_the_last_bit(mantissa: object, suffix: tuple[str, int]) -> None:
    letter, exponent = suffix
    assert quantity(f"{mantissa}{letter}") == quantity(f"{mantissa}e{exponent}") == float(f"{mantissa}e{exponent}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "0",
        "0M",
        "-3",
        "-1.3M",
        "nan",
        "inf",
        "1e400",
        "1.3.4",
        "1.3 MB",
        "1.3e",
        "1e1.5",
        "1 300",
        "0x10",
        "1,3M",
        "12,34",
        "5\u212a",
        "1e99999",
    ],
)
def test_what_is_no_positive_number(text: str) -> None:
    with pytest.raises(ConfigError, match="is no positive number"):
        quantity(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.8023, "0.802"),
        (53, "53"),
        (1234, "1,234"),
        (643_413, "643,413"),
        (1.3e6, "1.30 M"),
        (52.993e9, "53.0 B"),
        (999.4e9, "999 B"),
        (999.9e9, "1.00 T"),
        (569e9, "569 B"),
        (1.111118e12, "1.11 T"),
        (1425.5e12, "1,426 T"),  # Chinchilla Table A3's largest row
        (3.51e23, "3.51e+23"),
    ],
)
def test_a_count_as_people_read_it(value: float, shown: str) -> None:
    assert human(value) == shown


def test_digits() -> None:
    assert [human(52.993e9, digits) for digits in (2, 4, 5)] == ["53 B", "52.99 B", "52.993 B"]
    assert human(3.51e23, 2) == "3.5e+23"


@given(st.floats(1e-6, 1e30))
def test_what_is_shown_can_be_written(value: float) -> None:
    """To the digits shown: three, or whole numbers from 100 on."""
    assert math.isclose(quantity(human(value)), value, rel_tol=5.001e-3)
