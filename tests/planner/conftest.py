"""Supplies to plan with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planner import supply
from planner.schema import Supply

# Wu et al. 2023, BloombergGPT, arXiv:2303.17564, Table 1: documents in 1e4, characters and tokens in 1e8.
BLOOMBERGGPT = """source,group,documents,characters,tokens,citation
web,financial,158250e4,14768e8,2978e8,Table 1
news,financial,10040e4,1672e8,376e8,Table 1
filings,financial,3335e4,780e8,145e8,Table 1
press,financial,1265e4,435e8,86e8,Table 1
inhouse,financial,2996e4,227e8,49e8,Table 1
pile,public,13694e4,8409e8,1836e8,Table 1
c4,public,34832e4,7683e8,1381e8,Table 1
wikipedia,public,2218e4,726e8,237e8,Table 1
"""


@pytest.fixture
def write_supply(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a supply file."""

    def write(text: str) -> Path:
        path = tmp_path / "supply.csv"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def bloomberggpt(write_supply: Callable[[str], Path]) -> Supply:
    """What BloombergGPT had."""
    return supply.of_csv(write_supply(BLOOMBERGGPT))
