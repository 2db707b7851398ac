"""Know what your corpus is worth before you spend the GPU-hours: the command line, one verb per stage."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from corpora.errors import AssayError, ConfigError

if TYPE_CHECKING:
    from corpora.garbage import Garbage
    from corpora.lake import Lake
    from pipelines.chain import Setup
    from planner.schema import Supply

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
PIPED_WIDTH = 160  # columns of tables where there is no terminal to ask

out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)

LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        metavar="DIR",
        help="The lake: a folder, or in a bucket, s3://BUCKET/lake. Default: `lake`, or `lake-sample` for the sample.",
    ),
]
RawOption = Annotated[
    list[str] | None,
    typer.Option(
        "--raw",
        metavar="GLOB",
        help="Raw files: a glob, a folder or a file, or a bucket's; may be repeated. Default: data/raw/CORPUS.",
    ),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Read the raw files with this reader instead of the corpus's own.")
]
TokenizerOption = Annotated[
    Path | None,
    typer.Option("--tokenizer", metavar="FILE", help="A tokenizer.json to put in force for the whole lake."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="Parallel workers; 0: one per core.")]
RunnerOption = Annotated[
    str,
    typer.Option(
        "--runner",
        metavar="NAME",
        help="`threads`, `processes` where the extractor holds Python's lock, `dask`, `flink`, `spark` or `dataflow`.",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Of Dask, as tcp://HOST:8786; default: a cluster made here."),
]
BeamOption = Annotated[
    list[str] | None,
    typer.Option("--runner-option", metavar="KEY=VALUE", help="Beam's, for flink, spark, dataflow; may be repeated."),
]
QuarantineOption = Annotated[
    float,
    typer.Option(
        "--max-quarantined", min=0, max=1, help="Share of unreadable records at which a run fails (and more than ten)."
    ),
]
PartOption = Annotated[
    int, typer.Option("--part-mb", min=1, help="Raw megabytes of one task; files that have a task keep it.")
]
SupplyOption = Annotated[
    Path | None,
    typer.Option(
        "--supply", metavar="FILE", help="A CSV file of what there is (source, group, documents, tokens), not a lake."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command(short_help="Raw files to documents.")
def ingest(
    corpus: Annotated[
        str,
        typer.Argument(help="Name of a corpus: web, news, press, filings, inhouse, pile, c4, wikipedia or your own."),
    ],
    raw: RawOption = None,
    format_: FormatOption = None,
    lake: LakeOption = None,
    workers: WorkersOption = 0,
    runner: RunnerOption = "threads",
    scheduler: SchedulerOption = None,
    runner_option: BeamOption = None,
    max_quarantined: QuarantineOption = 0.01,
    part_mb: PartOption = 64,
    as_json: JsonOption = False,
) -> None:
    """Raw files to documents with signals and signatures; what was read before and is unchanged is not read again.

    Example: assay ingest filings --raw 'edgar/2024/*.txt.gz'
    """
    from corpora import catalog
    from pipelines import chain

    with _setup(runner, workers, scheduler, runner_option, max_quarantined, part_mb) as setup:
        wanted = catalog.load(corpus)
        where, files = chain.choose_lake(lake, wanted, chain.raw_of(wanted, raw or [], format_), setup.say)
        if files:
            chain.run_ingest(where, wanted, files, setup)
    _show_corpora(where, [corpus], as_json)


@app.command(short_help="Find copies across all corpora.")
def deduplicate(
    lake: LakeOption = None,
    workers: WorkersOption = 0,
    runner: RunnerOption = "threads",
    scheduler: SchedulerOption = None,
    runner_option: BeamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find documents that are copies of others, across all corpora of the lake, by priority.

    Example: assay deduplicate --lake lake
    """
    from pipelines import chain

    where = _lake(lake)
    with _setup(runner, workers, scheduler, runner_option) as setup:
        manifest = chain.run_deduplicate(where, setup)
    found: dict[str, int] = dict.fromkeys(manifest["inputs"], 0)
    for part in manifest["parts"]:
        found[part["corpus"]] += part["findings"]["rows"] if part["findings"] else 0
    _print(["corpus", "duplicates"], list(found.items()), {"duplicates": found}, as_json)


@app.command(short_help="Documents to token ids, and a ledger of each.")
def tokenize(
    corpus: Annotated[str | None, typer.Argument(help="Name of a corpus; or `--all`.")] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", help="Every corpus that the lake holds or that has raw files; without any, the sample."),
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="The embedded sample, in lake-sample/, whatever raw files there are.")
    ] = False,
    raw: RawOption = None,
    format_: FormatOption = None,
    tokenizer: TokenizerOption = None,
    lake: LakeOption = None,
    workers: WorkersOption = 0,
    runner: RunnerOption = "threads",
    scheduler: SchedulerOption = None,
    runner_option: BeamOption = None,
    max_quarantined: QuarantineOption = 0.01,
    part_mb: PartOption = 64,
    as_json: JsonOption = False,
) -> None:
    """Documents to token ids and a ledger of every document, after the stages before it where those are out of date.

    Example: assay tokenize filings --raw 'edgar/**' --tokenizer gpt2.json
    """
    from corpora import catalog
    from pipelines import chain, tokenizer_in_force

    if (corpus is None) is not all_ or ((all_ or sample) and (raw or format_)):
        raise ConfigError("name one corpus, or say --all; --raw and --format go with one corpus of your own")
    tokenizer_json = tokenizer_in_force.load(tokenizer) if tokenizer else None  # refused before hours of work
    with _setup(runner, workers, scheduler, runner_option, max_quarantined, part_mb) as setup:
        lake, names = chain.corpora_of(corpus, lake, sample)
        for name in names:
            wanted = catalog.load(name)
            files = chain.sample_of(wanted) if sample else chain.raw_of(wanted, raw or [], format_)
            where, files = chain.choose_lake(lake, wanted, files, setup.say)
            if files:
                chain.run_ingest(where, wanted, files, setup)
        chain.run_deduplicate(where, setup)
        in_force = chain.run_tokenizer(where, tokenizer_json, setup)
        chain.run_tokenize(where, names, in_force, setup)
    _refresh(where)
    _show_corpora(where, names, as_json)


@app.command(short_help="What the lake holds, and what is stale.")
def status(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """What the lake holds, what is stale, and the command that brings it up to date.

    Example: assay status --lake lake-sample
    """
    where = _lake(lake)
    _show_corpora(where, where.corpora(), as_json)


@app.command(short_help="Prove that every document is accounted for.")
def reconcile(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Prove that every document is accounted for, or say where one is not.

    Example: assay reconcile --lake lake
    """
    from planner import reconcile as proof

    where = _lake(lake)
    checks = list(proof.reconcile(where))
    holds = bool(checks) and all(check.holds for check in checks)
    rows = [(check.room, check.check, "holds" if check.holds else "FAILS", check.detail) for check in checks]
    found = {"holds": holds, "checks": [vars(check) for check in checks]}
    _print(["room", "check", "", "detail"], rows, found, as_json)
    if not holds:
        failed = next((check for check in checks if not check.holds), None)
        raise AssayError(
            f"does not add up: {failed.room}, {failed.check}: {failed.detail}"
            if failed
            else "nothing to reconcile: the lake is empty"
        )


@app.command(short_help="Delete what nothing in force lists.")
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; without, only say what and how much.")] = False,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What no manifest in force lists and no launch has pinned: how much that is, and with --yes its deletion.

    Example: assay gc --lake lake --yes
    """
    from corpora import garbage

    where = _lake(lake)
    _profiles(where)  # refused before anything is deleted
    if not yes:
        _show_garbage(garbage.find(where), "would be deleted by `assay gc --yes`", as_json)
        return
    garbage.delete_from(where, lambda found: _show_garbage(found, "are deleted", as_json))
    _refresh(where)


@app.command(short_help="The layout of a lake built at once.")
def compact(
    corpus: Annotated[str | None, typer.Argument(help="Name of a corpus; without one, every corpus.")] = None,
    lake: LakeOption = None,
    workers: WorkersOption = 0,
    runner: RunnerOption = "threads",
    scheduler: SchedulerOption = None,
    runner_option: BeamOption = None,
    part_mb: PartOption = 64,
    as_json: JsonOption = False,
) -> None:
    """The few large parts that raw files would have given had they all come at once; no document changes.

    Example: assay compact news --lake lake
    """
    from pipelines import chain

    where = _lake(lake)
    if corpus and corpus not in where.corpora():
        raise ConfigError(f"{where.url} holds no corpus {corpus!r}; there are {', '.join(where.corpora())}")
    names = [corpus] if corpus else where.corpora()
    with _setup(runner, workers, scheduler, runner_option, 1, part_mb) as setup:
        chain.run_compact(where, names, setup)
    _refresh(where)
    _show_corpora(where, names, as_json)
    if not as_json:
        _say("`assay gc` says what the parts of before take, and deletes them.")


@app.command(short_help="DuckDB with all views of the lake.")
def sql(
    query: Annotated[str | None, typer.Argument(help="A query; without one, a shell.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """DuckDB with all views of the lake: supply, composition, mix('bloomberggpt'), drops, ledger, documents.

    Example: assay sql "FROM supply"
    """
    import duckdb

    from planner import ledger
    from planner.report import shell

    where = _lake(lake).at_once()
    connection = ledger.connect(where, _profiles(where))
    if query is None:
        shell.run(connection, out, err)
        return
    try:
        columns, rows = shell.answer(connection, query)
    except duckdb.Error as error:
        raise ConfigError(shell.said(error).splitlines()[0]) from None
    if not columns:
        raise ConfigError("the query is empty")
    _print(columns, rows, [dict(zip(columns, row)) for row in rows], as_json)


@app.command(short_help="What a mix asks of each source.")
def mix(
    name: Annotated[str, typer.Argument(help="Name of a mix: bloomberggpt, proportional or your own.")],
    tokens: Annotated[
        str | None, typer.Option(metavar="N", help="Training tokens of the mix; default: the most that repeats none.")
    ] = None,
    supply: SupplyOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a mix asks of each source, in training tokens and epochs, and which source ends first.

    Example: assay mix bloomberggpt --tokens 569B
    """
    from planner import mix as mixes
    from planner import units, verdict
    from planner.report import summary

    wanted = mixes.load(name)
    budget = round(units.quantity(tokens, units.MOST_TOKENS)) if tokens else None
    there = _supply(supply, lake)
    solved = mixes.solve(there, wanted, budget)
    if as_json:
        _print_json(solved.model_dump(mode="json"))
    else:
        summary.print_mix(out, solved, verdict.supply_alerts(there, solved))


@app.command(short_help="What the tokens afford, and what it costs.")
def plan(
    mix: Annotated[
        str, typer.Option(metavar="NAME", help="Name of a mix: bloomberggpt, proportional or your own.")
    ] = "proportional",
    supply: SupplyOption = None,
    lake: LakeOption = None,
    gpu: Annotated[str | None, typer.Option(metavar="NAME", help="A GPU, such as a100-40gb or h100.")] = None,
    gpu_hours: Annotated[str | None, typer.Option(metavar="HOURS", help="The budget, such as 1.3e6 or 1.3M.")] = None,
    gpus: Annotated[int | None, typer.Option(help="The budget as a number of GPUs, with --days.")] = None,
    days: Annotated[float | None, typer.Option(help="Days of 24 hours.")] = None,
    utilisation: Annotated[
        float | None,
        typer.Option(
            "--utilisation",
            "--utilization",
            help="Share of the dense peak, end to end: recomputation and downtime are in it. Default: sourced, by GPU.",
        ),
    ] = None,
    hfu_tflops: Annotated[
        float | None, typer.Option(help="Or: hardware TFLOP/s that a GPU achieves, recomputation counted.")
    ] = None,
    recompute: Annotated[
        str | None, typer.Option(metavar="HOW", help="With --hfu-tflops: `full` activation recomputation, or `none`.")
    ] = None,
    reserve: Annotated[
        float | None, typer.Option(help="With --hfu-tflops: share of the hours kept for failures. Default: 0.")
    ] = None,
    law: Annotated[
        str | None, typer.Option(metavar="NAME", help="The scaling law to go by. Default: chinchilla-approach-1.")
    ] = None,
    sequence: Annotated[int | None, typer.Option(min=16, help="Tokens of a row. Default: 2,048.")] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Folder under plans/; default: the mix or the supply file.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of plan.json, and end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What the tokens afford: data- or compute-limited, the model, the steps, the hours. Writes plans/NAME/.

    Example: assay plan --mix bloomberggpt --gpu a100-40gb --gpu-hours 1.3e6
    """
    from planner import compute, files, hardware, laws, units
    from planner import mix as mixes
    from planner import plan as plans
    from planner.report import html, summary

    if schema:
        sys.stdout.write(plans.json_schema().decode())
        return
    if gpu is None:
        raise ConfigError("say which GPU: --gpu a100-40gb, --gpu h100")
    found = hardware.find(gpu)
    hours, gpus, days = compute.gpu_hours_of(
        units.quantity(gpu_hours, units.MOST_GPU_HOURS) if gpu_hours else None, gpus, days
    )
    budget = compute.budget(
        found,
        hours,
        gpus=gpus,
        days=days,
        utilisation=utilisation,
        hfu_tflops=hfu_tflops,
        recompute=recompute,
        reserve=reserve,
    )
    goes_by, wanted = laws.named(law or plans.LAW), mixes.load(mix)
    there = _supply(supply, lake)
    name = name or (supply.stem if supply else mix)
    if Path(name).name != name or name in (".", ".."):
        raise ConfigError(f"--name {name!r} is no name of a folder")
    made = plans.make(name, there, wanted, budget, goes_by, sequence or plans.SEQUENCE)
    content = plans.to_json(made)
    folder = Path("plans", name)
    path = files.put(folder / "plan.json", content)
    report = files.put(folder / "report.html", html.render(made).encode())
    if as_json:
        sys.stdout.write(content.decode())
    else:
        summary.print_plan(out, made)
    _say(f"Written: {path} and {report}")


@app.command(short_help="Write the folder that trains a plan.")
def launch(
    plan: Annotated[Path, typer.Argument(help="A plan.json.")],
    lake: Annotated[
        str | None,
        typer.Option("--lake", metavar="DIR", help="Where the lake lies now; default: where it was planned."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: launch/ beside the plan.")
    ] = None,
    end_of_document: Annotated[
        str | None, typer.Option(help="Token that ends a document, where the tokenizer has none of the usual names.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The folder that trains a plan: torchrun.sh, pretrain.toml, the tokenizer, the data, pinned in the lake.

    Example: assay launch plans/bloomberggpt/plan.json
    """
    from planner import plan as plans
    from planner.launch import folder as launches

    made, content = plans.from_json(plan)
    folder = folder or plan.parent / "launch"
    written = launches.write(made, content, folder, lake=lake, end_of_document=end_of_document, say=_say)
    if as_json:
        _print_json(written)
    else:
        _print(
            ["", "value"], [(key, value) for key, value in written.items() if isinstance(value, str | int)], None, False
        )


def main() -> None:
    """Run the command line. Workers import this installation, never a folder `pipelines/` of the user's."""
    os.environ["PYTHONSAFEPATH"] = "1"
    logging.getLogger().setLevel(logging.ERROR)  # Beam logs at import of clients that are not used here
    try:
        app()
    except AssayError as error:
        _say(f"assay: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        _say(f"assay: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
        sys.exit(1)
    except Exception as error:
        from corpora import stores

        if not (said := stores.sentence(error)):
            raise
        _say(f"assay: {said}")
        sys.exit(1)


@contextmanager
def _setup(
    runner: str,
    workers: int,
    scheduler: str | None,
    runner_option: list[str] | None,
    max_quarantined: float = 0.01,
    part_mb: int = 64,
) -> Iterator[Setup]:
    """The runner, the progress bars and the voice of a run."""
    from pipelines import runners
    from pipelines.chain import Setup
    from planner.report.terminal import progress

    runs_on = runners.of(runner, workers, scheduler, runner_option or ())
    with progress(err) as show:
        yield Setup(runs_on, show, _say, max_quarantined, part_mb << 20)


def _say(sentence: str) -> None:
    from planner.report.terminal import visible

    err.print(Text(visible(sentence)), soft_wrap=True)


def _lake(lake: str | None) -> Lake:
    """The lake to look at: the one named, else `lake`, else the sample's."""
    from corpora import stores
    from corpora.lake import Lake

    found = [where for name in ([lake] if lake else ["lake", "lake-sample"]) if (where := Lake(name)).corpora()]
    if not found:
        if lake:
            stores.check_bucket(lake)
        where = lake or "lake/ or lake-sample/"
        raise AssayError(
            f"there is nothing in {where} yet: `assay tokenize CORPUS` puts a corpus there; `assay plan --supply FILE` "
            "plans without one"
        )
    return found[0]


def _supply(file: Path | None, lake: str | None) -> Supply:
    """What there is to train on: what a file says, or what a lake holds."""
    from planner import supply

    if file and lake:
        raise ConfigError("--supply and --lake both say what there is: give one of them")
    if file:
        return supply.of_csv(file)
    where = _lake(lake).at_once()
    return supply.of_lake(where, _profiles(where))


def _profiles(lake: Lake) -> dict[str, str]:
    from pipelines.quality import profile

    return {name: found.fingerprint for name, found in profile.of_lake(lake).items()}


def _refresh(lake: Lake) -> None:
    """Bring the catalog of a local lake up to date."""
    from planner import ledger

    if lake.local:
        now = lake.at_once()
        ledger.refresh(now, _profiles(now))


def _show_corpora(lake: Lake, names: list[str], as_json: bool) -> None:
    """Some corpora of a lake: documents per outcome, tokens, and whether they are stale."""
    from planner import ledger

    now = lake.at_once()
    found = ledger.overview(now, _profiles(now))
    rows = [row for row in found["corpora"] if row["corpus"] in names]
    columns = ["corpus", "documents", "kept", "duplicate", "dropped", "quarantined", "tokens", "state"]
    _print(columns, [[row[c] for c in columns] for row in rows], found | {"corpora": rows}, as_json, title=lake.url)
    if as_json:
        return
    stale = [row for row in found["corpora"] if row["command"]]
    if stale:
        _say(
            f"Not current: {', '.join(row['corpus'] for row in stale)}; `{stale[0]['command']}` brings all up to date."
        )
    if found["tokenizer"] and found["tokenizer"]["provisional"]:
        _say("The tokenizer is provisional, trained here on what was ingested; `--tokenizer FILE` sets a final one.")


def _show_garbage(found: list[Garbage], what: str, as_json: bool) -> None:
    rows = [{"room": f.room, "kind": f.kind, "files": len(f.paths), "bytes": f.bytes} for f in found]
    total = {name: sum(row[name] for row in rows) for name in ("files", "bytes")}
    _print(["room", "kind", "files", "bytes"], [list(row.values()) for row in rows], total | {"found": rows}, as_json)
    _say(f"{total['files']:,} files, {total['bytes']:,} bytes {what}.")


def _print(columns: list[str], rows: list[Any], as_object: Any, as_json: bool, title: str = "") -> None:
    if as_json:
        _print_json(as_object)
        return
    from planner.report.terminal import show

    show(out, columns, rows, title)


def _print_json(value: Any) -> None:
    print(json.dumps(_json(value), indent=1, ensure_ascii=False, default=str))


def _json(value: Any) -> Any:
    """A value as JSON can say it: keys are strings, and null stands for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): _json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
