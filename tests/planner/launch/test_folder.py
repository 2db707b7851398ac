"""The launch folder: what was planned and nothing else, whole, pinned, and refused where it cannot be trained."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from corpora.errors import AssayError, ConfigError, LakeError
from corpora.lake import PINS, Lake
from planner.launch import folder as launch_folder
from planner.launch import settings as launched
from planner.launch.folder import end_of_document, write
from planner.launch.parts import training_tokens
from planner.schema import Plan

FILES = ["data.json", "plan.json", "pretrain.toml", "tokenizer.json", "torchrun.sh"]


@pytest.fixture
def plan(tiny_lake, hands) -> Plan:
    return hands.make_plan(tiny_lake, hands.SHARES)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "a launch"


@pytest.fixture
def said() -> list[str]:
    return []


def written(plan, out, said):
    return write(plan, plan.model_dump_json().encode(), out, say=said.append)


def test_the_summary_adds_up(plan, out, said, tiny_lake):
    summary = written(plan, out, said)
    assert summary["files"] == FILES == sorted(path.name for path in out.iterdir())
    assert summary["steps"] * summary["batch"] * summary["sequence"] == summary["tokens"] == plan.schedule.tokens
    assert [source["tokens"] for source in summary["sources"]] == [769, 460, 307]
    assert sum(source["tokens"] for source in summary["sources"]) == summary["tokens"]
    params = launched.read(out / "pretrain.toml").model.params
    assert (summary["params"], summary["checkpoint_bytes"]) == (params, 12 * params)
    assert summary["folder"] == str(out)
    assert summary["lake"] == tiny_lake.url
    parts = [path for name in ("ones", "twos", "fives") for path in Path(tiny_lake.root, name, "tokens").iterdir()]
    assert sum(source["parts"] for source in summary["sources"]) == len(parts) == 4
    assert sum(source["bytes"] for source in summary["sources"]) == sum(path.stat().st_size for path in parts)
    assert not said


def test_settings_are_the_plans(plan, out, said, tiny_lake, hands):
    written(plan, out, said)
    settings = launched.read(out / "pretrain.toml")
    assert settings.plan.name == plan.name  # quotes, a backslash and DEL in it
    assert settings.plan.digest == sha256((out / "plan.json").read_bytes()).hexdigest()
    assert (out / "plan.json").read_bytes() == plan.model_dump_json().encode()
    for name in ("layers", "width", "heads", "head_size", "ffn", "vocabulary"):
        assert getattr(settings.model, name) == getattr(plan.model, name)
    for name in ("steps", "batch", "warmup_steps", "peak_rate", "final_rate"):
        assert getattr(settings.schedule, name) == getattr(plan.schedule, name)
    assert settings.data.lake == tiny_lake.url
    assert (settings.data.sequence, settings.data.end_of_document) == (plan.schedule.sequence, hands.END)
    assert settings.optimizer == launched.Optimizer(0.9, 0.95, 0.1, 1.0)
    sources = launched.sources(settings)
    assert [(source.source, source.share) for source in sources] == list(hands.SHARES.items())
    launched.verify(settings, sources)


@pytest.mark.parametrize(
    ("batch", "gpus", "sequence", "micro_batch"),
    [(12, None, 2048, 4), (12, 2, 2048, 3), (10, None, 2048, 2), (7, None, 4096, 1), (8, 8, 16, 1), (4, None, 9000, 1),
     (600, None, 16, 300)],
)  # fmt: skip
def test_micro_batch_divides_the_rows_of_a_rank(tiny_lake, hands, out, said, batch, gpus, sequence, micro_batch):
    plan = hands.make_plan(tiny_lake, hands.SHARES, batch=batch, sequence=sequence)
    plan = plan.model_copy(update={"compute": plan.compute.model_copy(update={"gpus": gpus})})
    written(plan, out, said)
    assert launched.read(out / "pretrain.toml").run.micro_batch == micro_batch
    assert not said


def test_the_script_is_one_that_bash_reads(plan, out, said):
    written(plan, out, said)
    script = out / "torchrun.sh"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    assert sys.executable in script.read_text()


def started(out, **environment) -> tuple[int, str]:
    """The script's exit code and what it says; with the right `PYTHON` it would train."""
    environment = os.environ | {name: str(value) for name, value in environment.items()}
    ended = subprocess.run([out / "torchrun.sh"], check=False, env=environment, capture_output=True, text=True)
    assert not ended.stdout
    return ended.returncode, ended.stderr


@pytest.fixture
def python(tmp_path):
    """A Python that knows torch and Assay's checks, and of the trainer says what it was started with."""

    def made(gpus: int = 0, torch: bool = True) -> Path:
        path = tmp_path / "python"
        path.write_text(f"""#!/bin/bash
case "$*" in
    *find_spec*) exit {0 if torch else 1} ;;
    *device_count*) echo {gpus} ;;
    *planner.launch.settings*) exec {sys.executable} "$@" ;;
    *) echo "$@" >&2 ;;
esac
""")
        path.chmod(0o755)
        return path

    return made


def test_torch_that_is_missing_is_said_in_one_sentence(plan, out, said, python):
    written(plan, out, said)
    missing = python(torch=False)
    sentence = f"assay: torch is not installed for {missing}: pip install 'corpus-assay[launch]'\n"
    assert started(out, PYTHON=missing) == (1, sentence)


def test_a_python_that_is_missing_is_said_in_one_sentence(plan, out, said):
    written(plan, out, said)
    sentence = "assay: there is no /none/python: set PYTHON to the Python that has Assay and torch\n"
    assert started(out, PYTHON="/none/python") == (1, sentence)


@pytest.mark.parametrize("number", ["two", "0", "-1", "1.5", " "])
def test_a_number_of_ranks_that_is_none_is_said_in_one_sentence(plan, out, said, python, number):
    written(plan, out, said)
    sentence = f"assay: NPROC is '{number}': set it to a whole number above 0\n"
    assert started(out, PYTHON=python(), NPROC=number) == (1, sentence)


def test_ranks_that_cannot_share_a_batch_are_refused_before_torchrun(plan, out, said, python):
    written(plan, out, said)
    sentence = "assay: a batch of 8 rows cannot be dealt to 6 ranks evenly: start a number of ranks that divides it\n"
    assert started(out, PYTHON=python(), NPROC=3, NNODES=2) == (1, sentence)


def test_a_plan_for_gpus_trains_on_the_cpu_only_when_told_to(plan, out, said, python):
    for_gpus = plan.model_copy(update={"compute": plan.compute.model_copy(update={"gpus": 4})})
    written(for_gpus, out, said)
    sentence = "assay: no GPU is seen here, and the plan is for 4: NPROC=1 trains on the CPU\n"
    assert started(out, PYTHON=python()) == (1, sentence)
    code, started_with = started(out, PYTHON=python(), NPROC=1)
    assert code == 0
    assert "--nproc-per-node=1 " in started_with
    assert "--nproc-per-node=4 " in started(out, PYTHON=python(gpus=8))[1]


def test_a_plan_for_no_number_of_gpus_says_that_it_trains_on_the_cpu(plan, out, said, python):
    written(plan, out, said)
    note, started_with = started(out, PYTHON=python())[1].splitlines()
    assert note == "No GPU is seen here: training on the CPU."
    assert "--standalone --nproc-per-node=1 " in started_with
    assert "--nproc-per-node=2 " in started(out, PYTHON=python(gpus=2))[1]


def test_several_nodes_meet_where_they_are_told(plan, out, said, python):
    written(plan, out, said)
    nodes = {"PYTHON": python(), "NPROC": 1, "NNODES": 2, "RUN_ID": "r", "HEAD_NODE": "head"}
    assert "--rdzv-endpoint=head:29500 --rdzv-id=r" in started(out, **nodes)[1]
    assert "--rdzv-endpoint=head:1234 --rdzv-id=r" in started(out, **nodes, PORT=1234)[1]


def test_files_of_the_user_stay(plan, out, said):
    (out / "runs").mkdir(parents=True)
    (out / "runs" / "log.jsonl").write_text("mine")
    (out / "plan.json").write_text("old")
    written(plan, out, said)
    assert (out / "runs" / "log.jsonl").read_text() == "mine"
    assert (out / "plan.json").read_bytes() == plan.model_dump_json().encode()
    assert sorted(path.name for path in out.iterdir()) == [*FILES[:3], "runs", *FILES[3:]]


def pins(lake) -> dict[str, dict]:
    """File name -> content of every pin."""
    return {path.name: json.loads(path.read_text()) for path in Path(lake.root, PINS).glob("*.json")}


def test_what_was_planned_is_pinned(plan, out, said, tiny_lake):
    before = tiny_lake.corpora()
    written(plan, out, said)
    sources = launched.sources(launched.read(out / "pretrain.toml"))
    name = sha256(f"{socket.gethostname()}:{out}".encode()).hexdigest()
    pin = {
        "format": 1,
        "plan": plan.name,
        "digest": sha256(plan.model_dump_json().encode()).hexdigest(),
        "host": socket.gethostname(),
        "folder": str(out),
        "parts": {source.source: {"tokens": [part.sha256 for part in source.parts]} for source in sources},
        "manifests": {source.source: source.manifest for source in plan.supply.sources},
        "tokenizer": plan.supply.tokenizer,
    }
    assert pins(tiny_lake) == {f"{name}.json": pin}
    assert tiny_lake.corpora() == before


def test_each_folder_has_a_pin_of_its_own(plan, out, said, tiny_lake):
    written(plan, out, said)
    written(plan, out.with_name("other"), said)
    assert sorted(Path(pin["folder"]).name for pin in pins(tiny_lake).values()) == ["a launch", "other"]
    again = plan.model_copy(update={"name": "again"})
    written(again, out, said)
    assert sorted(pin["plan"] for pin in pins(tiny_lake).values()) == sorted([plan.name, "again"])


def test_a_launch_that_is_refused_leaves_the_pins_as_they_were(plan, out, said, tiny_lake):
    path = next(Path(tiny_lake.root, "twos", "tokens").iterdir())
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(AssayError, match="is gone"):
        written(plan, out, said)
    assert pins(tiny_lake) == {}
    path.write_bytes(content)
    written(plan, out, said)
    before = pins(tiny_lake)
    (out / "torchrun.sh").unlink()
    (out / "torchrun.sh").mkdir()  # cannot be replaced by a file
    with pytest.raises(AssayError, match=r"torchrun.sh cannot be written"):
        written(plan.model_copy(update={"name": "again"}), out, said)
    assert pins(tiny_lake) == before


def test_parts_are_pinned_before_they_are_looked_at(plan, out, said, tiny_lake, monkeypatch):
    seen = []

    def looked(room, part):
        seen.append(len(pins(tiny_lake)))
        return training_tokens(room, part)

    monkeypatch.setattr(launch_folder, "training_tokens", looked)
    written(plan, out, said)
    assert seen == [1, 1, 1, 1]


def test_the_training_tokens_of_every_row_group_are_listed(plan, out, said):
    written(plan, out, said)
    ones, twos, fives = launched.sources(launched.read(out / "pretrain.toml"))
    assert [sum(part.groups) for part in ones.parts] == [20 * 31, 9 * 26]
    assert [sum(part.groups) for part in twos.parts + fives.parts] == [30 * 21, 15 * 12]
    assert len(twos.parts[0].groups) > 3
    assert all(length % 21 == 0 for length in twos.parts[0].groups)


def test_parts_with_other_tokens_than_were_counted_are_refused(plan, out, said):
    more = plan.mix.sources[1].model_copy(update={"available": 631})
    mix = plan.mix.model_copy(update={"sources": [plan.mix.sources[0], more, plan.mix.sources[2]]})
    with pytest.raises(AssayError, match="twos have 630 training tokens, and the plan counted 631: run `assay recon"):
        written(plan.model_copy(update={"mix": mix}), out, said)
    assert not out.exists()


def test_a_part_that_is_damaged_is_named(plan, out, said, tiny_lake):
    path = next(Path(tiny_lake.root, "twos", "tokens").iterdir())
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    with pytest.raises(AssayError, match=f"{path} is damaged .* run `assay reconcile"):
        written(plan, out, said)
    assert not out.exists()


def test_a_vocabulary_smaller_than_the_tokenizers_ids_is_refused(plan, out, said, tiny_lake):
    small = plan.model_copy(update={"model": plan.model.model_copy(update={"vocabulary": 63})})
    with pytest.raises(AssayError, match=r"has a vocabulary of 63, and the tokenizer 64 ids: plan again"):
        written(small, out, said)
    assert not out.exists()
    assert pins(tiny_lake) == {}


@pytest.mark.parametrize(
    ("table", "change", "sentence"),
    [
        ("model", {"head_size": 7}, "head_size must be even"),
        ("schedule", {"peak_rate": float("inf")}, "peak_rate must be a finite number"),
        ("schedule", {"warmup_steps": -1}, "warmup_steps must not be negative"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused_before_anything_is_written(
    plan, out, said, tiny_lake, table, change, sentence
):
    changed = plan.model_copy(update={table: getattr(plan, table).model_copy(update=change)})
    with pytest.raises(ConfigError, match=sentence):
        written(changed, out, said)
    assert not out.exists()
    assert pins(tiny_lake) == {}


def test_a_lake_that_moved_is_launched_where_it_lies_now(plan, out, said, tiny_lake, tmp_path):
    moved = shutil.move(tiny_lake.root, tmp_path / "moved")
    with pytest.raises(AssayError, match="say where it lies now with --lake"):
        written(plan, out, said)
    summary = write(plan, plan.model_dump_json().encode(), out, lake=str(moved), say=said.append)
    settings = launched.read(out / "pretrain.toml")
    assert summary["lake"] == settings.data.lake == str(moved)
    launched.verify(settings, launched.sources(settings))
    assert len(pins(Lake(moved))) == 1


def test_a_lake_that_cannot_be_pinned_is_said(plan, out, said, tiny_lake):
    Path(tiny_lake.root, PINS).write_text("a file where the room would be")
    written(plan, out, said)
    assert "could not be pinned" in said[0]
    assert (out / "torchrun.sh").exists()


def test_a_source_without_tokens_is_left_out(plan, out, said):
    empty = plan.mix.sources[1].model_copy(update={"tokens": 0, "share": 0.0})
    mix = plan.mix.model_copy(update={"sources": [plan.mix.sources[0], empty, plan.mix.sources[2]]})
    assert [s["source"] for s in written(plan.model_copy(update={"mix": mix}), out, said)["sources"]] == [
        "ones",
        "fives",
    ]


def test_what_was_planned_is_launched_though_the_lake_moved_on(plan, out, said, tiny_lake, hands):
    planned = tiny_lake.room("twos").manifest("ledger")["parts"]
    hands.put_corpus(tiny_lake, "twos", [hands.counting(5, 5, 3)], plan.supply.tokenizer)
    written(plan, out, said)
    twos = launched.sources(launched.read(out / "pretrain.toml"))[1]
    assert [part.sha256 for part in twos.parts] == [part["tokens"]["sha256"] for part in planned]
    assert len(said) == 1
    assert said[0].startswith("twos has changed in the lake")


def test_a_plan_from_a_table_is_refused(plan, out, said):
    supply = plan.supply.model_copy(update={"lake": False, "origin": "supply.csv"})
    with pytest.raises(AssayError, match=r"from a table \(supply.csv\): it has no data .* plan again with --lake"):
        written(plan.model_copy(update={"supply": supply}), out, said)
    assert not out.exists()


def test_a_lake_that_is_gone_is_refused(plan, out, said, tiny_lake):
    Path(tiny_lake.root).rename(f"{tiny_lake.root}-moved")
    with pytest.raises(AssayError, match=r"there is no lake .*: say where it lies now with --lake, or plan again"):
        written(plan, out, said)


@pytest.mark.parametrize("kind", ["manifests", "tokens"])
def test_what_is_gone_from_the_lake_is_named(plan, out, said, tiny_lake, kind):
    gone = next(Path(tiny_lake.root, "twos", kind).iterdir())
    gone.unlink()
    with pytest.raises(
        AssayError, match=rf"{gone.name}.* is gone.*: run `assay tokenize --all .* and `assay plan` again"
    ):
        written(plan, out, said)
    assert not out.exists()


def test_a_part_that_was_cut_short_is_named(plan, out, said, tiny_lake):
    cut = next(Path(tiny_lake.root, "twos", "tokens").iterdir())
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(AssayError, match=f"{cut.name} is gone or cut short"):
        written(plan, out, said)


def test_a_tokenizer_that_is_gone_or_changed_is_refused(plan, out, said, tiny_lake, hands):
    path = Path(tiny_lake.root, "tokenizer", f"tokenizer-{plan.supply.tokenizer}.json")
    path.write_bytes(hands.tokenizer_json("<eos>"))
    with pytest.raises(AssayError, match="was changed"):
        written(plan, out, said)
    path.unlink()
    with pytest.raises(LakeError, match="is gone"):
        written(plan, out, said)


def test_a_corpus_of_another_tokenizer_is_refused(plan, out, said):
    supply = plan.supply.model_copy(update={"tokenizer": "0" * 64})
    with pytest.raises(AssayError, match="ones was counted by another tokenizer"):
        written(plan.model_copy(update={"supply": supply}), out, said)


@pytest.mark.parametrize("token", launch_folder.ENDS)
def test_documents_end_with_a_usual_token(hands, token):
    assert end_of_document(hands.tokenizer_json(token)) == hands.END


def test_a_token_that_ends_documents_can_be_named(hands):
    tokenizer = hands.tokenizer_json("[STOP]")
    with pytest.raises(ConfigError, match="--end-of-document TOKEN"):
        end_of_document(tokenizer)
    assert end_of_document(tokenizer, "[STOP]") == hands.END
    assert end_of_document(tokenizer, "w7") == 7
    with pytest.raises(ConfigError, match="no token 'nothing'"):
        end_of_document(tokenizer, "nothing")


@pytest.fixture
def check(plan, out, said):
    """Runs the check of a written folder from another place: exit code and what it said."""
    written(plan, out, said)

    def run() -> tuple[int, str]:
        command = [sys.executable, "-P", "-m", "planner.launch.settings", out / "pretrain.toml"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert not ended.stdout
        return ended.returncode, ended.stderr

    return run


def test_the_check_is_silent_where_all_is_well_and_knows_no_torch(check, out):
    assert check() == (0, "")
    code = "import sys; from planner.launch import folder, loader, settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_the_check_names_the_first_part_that_is_missing(check, tiny_lake):
    for path in Path(tiny_lake.root, "ones", "tokens").iterdir():
        path.unlink()
    code, said = check()
    assert code == 1
    assert said.startswith(f"assay: 2 of 4 parts are missing or cut short, first {tiny_lake.root}/ones/tokens/part-")
    assert "`assay reconcile" in said
    assert said.count("\n") == 1


def test_a_lake_that_moved_is_found_where_the_settings_say(check, out, tiny_lake):
    shutil.move(tiny_lake.root, out / "moved")
    assert check()[0] == 1
    toml = out / "pretrain.toml"
    toml.write_text(toml.read_text().replace(f'lake = "{tiny_lake.url}"', 'lake = "moved"'))
    assert check() == (0, "")  # a relative path counts from the folder of pretrain.toml
    assert Lake(launched.read(toml).data.lake).root == str(out / "moved")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("layers = 2", "layers = 0", "layers must be above 0"),
        ("layers = 2", "layer = 2", "unknown key 'layer'"),
        ("head_size = 8", "head_size = 7", "head_size must be even"),
        ("micro_batch = ", "micro_batch = 0  # ", "micro_batch must be above 0"),
        ("end_of_document = 0", "end_of_document = 128", "end_of_document 128 is no id below model.vocabulary 128"),
        ("[run]", "[ran]", "unknown key 'ran'"),
        ("clip = 1.0", "", "'clip' is missing"),
        ("keep = 3", "keep = 0", "keep must be above 0"),
        ("beta2 = 0.95", "beta2 = 1.0", "beta2 must be from 0 up to below 1"),
        ("steps = 12", 'steps = "12"', "steps must be an integer"),
        ("[plan]", "[plan", "Expected"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(plan, out, said, old, new, sentence):
    written(plan, out, said)
    toml = out / "pretrain.toml"
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=sentence):
        launched.read(toml)


def test_data_of_another_plan_or_damaged_is_refused(plan, out, said):
    written(plan, out, said)
    settings, path = launched.read(out / "pretrain.toml"), out / "data.json"
    listed = json.loads(path.read_text())
    path.write_text(json.dumps(listed | {"plan": "0" * 64}))
    with pytest.raises(AssayError, match="of another plan"):
        launched.sources(settings)
    for damaged in ("{", "[]", '{"plan": 1}', json.dumps(listed | {"sources": [{"parts": [], "x": 1}]})):
        path.write_text(damaged)
        with pytest.raises(AssayError, match="is damaged"):
            launched.sources(settings)
    path.unlink()
    with pytest.raises(AssayError, match="cannot be read"):
        launched.sources(settings)


def test_the_rate_rises_to_the_peak_and_ends_at_the_last_step():
    schedule = launched.Schedule(steps=100, batch=1, warmup_steps=10, peak_rate=3e-4, final_rate=3e-5)
    rates = [schedule.rate(step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(3e-5)
    assert rates[9] == max(rates) == 3e-4
    assert rates[54] == pytest.approx((3e-4 + 3e-5) / 2)
    assert rates[-1] == 3e-5
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert launched.Schedule(1, 1, 1, 1e-3, 1e-4).rate(1) == 1e-4
