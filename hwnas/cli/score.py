"""``hwnas score``: what estimators of accuracy are worth, on the same architectures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.columns import number, plain_table, span
from hwnas.cli.common import (
    Json,
    Patience,
    Resume,
    Seed,
    TrainMacs,
    TrainTime,
    folder_path,
    note,
    output,
    print_json,
    seconds,
)
from hwnas.cli.search import names
from hwnas.errors import RequestError

EPOCHS = 8
"""Of the reference, unless its epochs or operations are given."""


def score(
    space_name: Annotated[
        str | None, typer.Option("--space", help="Search space to draw architectures from.")
    ] = None,
    data: Annotated[str, typer.Option(help="digits, or the path of a data set.")] = "digits",
    estimators: Annotated[
        str,
        typer.Option(
            "--estimators",
            help="Names with commas, and combinations such as naswot+synflow; MACs, parameters "
            "and one epoch of training are always there.",
        ),
    ] = "naswot,synflow",
    n: Annotated[
        int | None,
        typer.Option(
            "--n", help="Architectures, 50 by default; with --table rows, all by default."
        ),
    ] = None,
    reference: Annotated[str, typer.Option(help="What the truth is: scratch.")] = "scratch",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of the reference, 8 by default.")
    ] = None,
    train_time: TrainTime = None,
    train_macs: TrainMacs = None,
    patience: Patience = None,
    device: Annotated[
        str | None,
        typer.Option(help="Make bands of the latency predicted for this device, not of MACs."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Folder in which estimates are kept as made.", parser=folder_path
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", help="CSV (or CSV.gz) whose accuracies are known, not trained."),
    ] = None,
    accuracy: Annotated[
        str | None, typer.Option("--accuracy", help="With --table: the column of the truth.")
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(
            "--scores", help="With --table: the columns to judge, higher is better; all by default."
        ),
    ] = None,
    band: Annotated[
        str | None,
        typer.Option("--band", help="With --table: the column of cost; macs where known."),
    ] = None,
    arch_column: Annotated[
        str,
        typer.Option("--arch-column", help="With --table: column of NAS-Bench-201 strings."),
    ] = "arch_str",
    seed: Seed = 0,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Judge estimators of accuracy against trained accuracy, beside MACs and one epoch."""
    if table is not None:
        unfit = {
            "--space": space_name,
            "--run": run,
            "--device": device,
            "--resume": resume,
            "--epochs": epochs,
            "--train-time": train_time,
            "--train-macs": train_macs,
            "--patience": patience,
        }
        result = _of_table(unfit, table, accuracy, scores, band, arch_column, n, seed)
    else:
        unfit = {"--accuracy": accuracy, "--scores": scores, "--band": band}
        _refuse(unfit, "is for a table; give --table FILE.csv with it")
        if space_name is None:
            raise RequestError("give --space NAME to train in, or --table FILE.csv to rank")
        from hwnas.cli.run_parts import TrainingLimits
        from hwnas.cli.score_run import ScoreRequest, ScoreRun

        time_s = None if train_time is None else seconds(train_time)
        request = ScoreRequest(
            space=space_name,
            data=data,
            estimators=names("estimators", estimators),
            count=50 if n is None else n,
            reference=reference,
            training=TrainingLimits.asked(epochs, time_s, train_macs, patience, usual=EPOCHS),
            device=device,
            folder=run,
            seed=seed,
            resume=resume,
        )
        result = ScoreRun(request).run()
    for text in result["warnings"]:
        note(f"warning: {text}")
    if as_json:
        print_json(result)
    else:
        show(result)
        for name, verdict in result.get("learned", {}).items():
            output.print(f"{name}: {verdict}", soft_wrap=True)


def _of_table(
    unfit: dict[str, Any],
    table: Path,
    accuracy: str | None,
    scores: str | None,
    band: str | None,
    arch_column: str,
    n: int | None,
    seed: int,
) -> dict[str, Any]:
    _refuse(unfit, "trains, and a table is not trained; leave out one of it and --table")
    if accuracy is None:
        raise RequestError("with --table give --accuracy COLUMN, the column of the truth")
    from hwnas.cli.score_table import scored_table

    wanted = None if scores is None else names("scores", scores)
    return scored_table(
        table,
        accuracy,
        wanted,
        band=band,
        arch_column=arch_column,
        count=n,
        seed=seed,
    )


def _refuse(options: dict[str, Any], why: str) -> None:
    for option, value in options.items():
        if value is not None and value is not False:
            raise RequestError(f"{option} {why}")


def show(result: dict[str, Any]) -> None:
    """The scoreboard as a table, the best Kendall first."""
    diverged = result["diverged"]
    table = plain_table(
        f"{result['n']} architectures of {result['of']} against {result['reference']}"
        + (f"; {diverged} without an accuracy are left out" if diverged else ""),
        (
            "estimator",
            "Kendall",
            "95 % interval",
            "over MACs",
            "95 % interval",
            "Spearman",
            "top tenth",
            f"in {result['band']} band",
            "regret",
            "s each",
        ),
    )
    for row in result["scores"]:
        table.add_row(
            row["estimator"] + (f" ({row['missing']} missing)" if row["missing"] else ""),
            number(row["kendall"]),
            span(row["low"], row["high"]),
            number(row["over_macs"], "+.2f"),
            span(row["over_macs_low"], row["over_macs_high"]),
            number(row["spearman"]),
            number(row["top_decile_kendall"]),
            number(row["band_kendall"]),
            number(row["regret"], ".4g"),
            number(row["seconds_per_architecture"], ".3g"),
        )
    output.print(table)
