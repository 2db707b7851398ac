"""mix, plan and launch from the command line: the worked example, the sample, refusals in one sentence, no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[1]
Command = Callable[..., subprocess.CompletedProcess[str]]
BUDGET = ["--gpu", "a100-40gb", "--gpu-hours", "1.3e6", "--hfu-tflops", "100", "--recompute", "full"]

SUPPLY = """source,group,documents,tokens
web,financial,158250e4,2978e8
news,financial,10040e4,376e8
filings,financial,3335e4,145e8
press,financial,1265e4,86e8
inhouse,financial,2996e4,49e8
pile,public,13694e4,1836e8
c4,public,34832e4,1381e8
wikipedia,public,2218e4,237e8
"""  # BloombergGPT, arXiv:2303.17564, Table 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a supply file and mixes of the user's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bloomberg.csv").write_text(SUPPLY)
    mixes = tmp_path / "assay.d" / "mixes"
    mixes.mkdir(parents=True)
    for name, shares in {"half": "web = 51\nfilings = 51", "odd": "moon = 1"}.items():
        text = f'description = "d"\nstrategy = "fixed"\n[shares]\n{shares}\n'
        (mixes / f"{name}.toml").write_text(text)
    return tmp_path


def test_the_worked_example(command: Command, folder: Path) -> None:
    done = command("plan", "--supply", "bloomberg.csv", *BUDGET, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((ROOT / "docs/plan.schema.json").read_text("utf-8")))
    assert found["supply"]["tokens"] == 708.8e9
    assert round(found["supply"]["groups"]["financial"]["share"], 4) == 0.5127
    assert found["compute"]["flops"] == pytest.approx(3.51e23)
    by_law = {law["law"]: (law["params"], law["tokens"]) for law in found["laws"]}
    assert by_law["chinchilla-approach-1"] == pytest.approx((52.993e9, 1111.1e9), rel=2e-5)
    assert by_law["chinchilla-approach-2"] == pytest.approx((49.753e9, 1175.8e9), rel=3e-5)
    written = folder / "plans" / "bloomberg"
    assert (written / "plan.json").read_text("utf-8") == done.stdout
    assert "<html" in (written / "report.html").read_text("utf-8")


def test_the_schema_is_printed(command: Command) -> None:
    assert command("plan", "--schema").stdout == (ROOT / "docs/plan.schema.json").read_text("utf-8")


def test_the_default_utilisation_is_shown_with_its_source(command: Command, folder: Path) -> None:
    done = command("plan", "--supply", "bloomberg.csv", "--gpu", "a100-40gb", "--gpu-hours", "1.3M", "--json")
    compute = json.loads(done.stdout)["compute"]
    utilisation = next(factor for factor in compute["factors"] if "utilisation" in factor["name"])
    assert utilisation["value"] == pytest.approx(0.301, abs=5e-4)  # planner.md section 6: .335 x .90
    assert "2407.21783" in utilisation["source"]
    assert compute["flops"] == pytest.approx(1.3e6 * 3600 * 312e12 * utilisation["value"])


def test_a_mix_in_json_and_in_a_table(command: Command, folder: Path) -> None:
    done = command("mix", "bloomberggpt", "--supply", "bloomberg.csv", "--tokens", "569B", "--json")
    found = json.loads(done.stdout)
    assert found["budget"] == pytest.approx(569e9)
    assert found["binding"] == "inhouse"
    assert {"source", "group", "share", "tokens", "available", "epochs"} <= found["sources"][0].keys()
    shown = command("mix", "bloomberggpt", "--supply", "bloomberg.csv").stdout
    assert "inhouse" in shown


def test_shares_that_do_not_sum_to_1_are_normalised_and_that_is_said(command: Command, folder: Path) -> None:
    done = command("plan", "--mix", "half", "--supply", "bloomberg.csv", *BUDGET)
    assert done.returncode == 0
    assert "The shares of the mix half sum to 102 and were divided by it." in " ".join(done.stdout.split())
    assert "102" in command("mix", "half", "--supply", "bloomberg.csv").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("plan --supply bloomberg.csv", 2, "say which GPU"),
        ("plan --supply bloomberg.csv --gpu h100", 2, "say the budget: --gpu-hours 1.3e6, or --gpus 512 --days 106"),
        ("plan --supply bloomberg.csv --gpu h1000 --gpu-hours 1", 2, "no GPU is named 'h1000'; there is H100"),
        ("plan --supply bloomberg.csv --gpu a100 --gpu-hours 1", 2, "A100-SXM-40GB, A100-SXM-80GB"),
        ("plan --supply bloomberg.csv --gpu h100 --gpu-hours=-1", 2, "'-1' is no positive number"),
        ("plan --supply bloomberg.csv --gpu h100 --gpu-hours 1 --reserve 0.3", 2, "--reserve needs --hfu-tflops"),
        ("plan --supply bloomberg.csv --gpu h100 --gpu-hours 1 --law chincilla", 2, "no scaling law is named"),
        ("plan --supply bloomberg.csv --gpu h100 --gpu-hours 1 --mix odd", 1, "the mix odd asks for moon, which"),
        ("plan --supply bloomberg.csv --gpu h100 --gpu-hours 1 --mix none", 2, "no mix 'none'; did you mean"),
        ("plan --supply bloomberg.csv --gpu h100 --gpu-hours 1 --name ..", 2, "--name '..' is no name of a folder"),
        ("plan --supply none.csv --gpu h100 --gpu-hours 1", 2, "there is no supply file none.csv"),
        ("plan --supply bloomberg.csv --lake x --gpu h100 --gpu-hours 1", 2, "--supply and --lake both say"),
        ("mix odd --supply bloomberg.csv", 1, "add a row for it, or take another mix, such as proportional"),
        ("launch plan.json", 2, "there is no plan plan.json: `assay plan` writes one"),
        ("launch bloomberg.csv", 2, "bloomberg.csv is no plan of this version of Assay"),
        ("launch .", 2, ". is a folder: name the plan.json in it"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    command: Command, folder: Path, arguments: str, code: int, sentence: str
) -> None:
    done = command(*arguments.split())
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("assay: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "plans").exists()


def test_a_plan_from_a_table_cannot_be_launched(command: Command, folder: Path) -> None:
    assert command("plan", "--supply", "bloomberg.csv", *BUDGET).returncode == 0
    done = command("launch", "plans/bloomberg/plan.json")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no data to train on" in done.stderr
    assert not (folder / "plans/bloomberg/launch").exists()


def test_a_launch_whose_data_is_gone_is_refused_and_a_whole_one_is_pinned(
    command: Command, folder: Path, sample_lake: Path
) -> None:
    lake = shutil.copytree(sample_lake, folder / "lake-sample")
    assert command("plan", "--mix", "bloomberggpt", *BUDGET, "--sequence", "256").returncode == 0
    done = command("launch", "plans/bloomberggpt/plan.json", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["steps"] > 1
    assert len(list((lake / "pins").glob("*.json"))) == 1
    part = next((lake / "web" / "tokens").glob("part-*"))
    part.unlink()
    done = command("launch", "plans/bloomberggpt/plan.json")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert part.name[5:17] in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "SELECT sum(percent) AS percent FROM mix('bloomberggpt')"],
        ["mix", "bloomberggpt"],
        ["plan", "--gpu", "h100", "--gpus", "8", "--days", "30", "--sequence", "256"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_planning_works_without_torch(folder: Path, sample_lake: Path, arguments: list[str]) -> None:
    script = "import sys; sys.modules['torch'] = sys.modules['apache_beam'] = None; import assay; assay.main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--lake", sample_lake, "--json"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
