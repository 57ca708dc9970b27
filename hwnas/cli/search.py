"""``hwnas search``: the most accurate architecture under a latency limit, measured to be so."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.columns import number, plain_table, span
from hwnas.cli.common import (
    DeviceName,
    Force,
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
from hwnas.errors import PromiseError, RequestError
from hwnas.search.strategy import STRATEGIES

EPOCHS = 2
"""Of one trial, unless its epochs or operations are given."""

TIME = "2m"
"""To search, unless a time or a number of trials is given."""


def search(
    space_name: Annotated[str, typer.Option("--space", help="Search space.")],
    device: DeviceName,
    limit_ms: Annotated[float, typer.Option("--limit-ms", help="Latency limit, milliseconds.")],
    run: Annotated[
        Path,
        typer.Option("--run", help="Folder for everything the search makes.", parser=folder_path),
    ],
    strategy: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(STRATEGIES)}; several with commas run in turn, and share the time."
        ),
    ] = "evolution",
    estimator: Annotated[
        str,
        typer.Option(
            help="Rungs of a ladder, the cheapest first and the judge last, such as "
            "naswot+synflow,supernet,scratch; + averages ranks within a rung."
        ),
    ] = "naswot+synflow,scratch",
    data: Annotated[str, typer.Option(help="digits, or the path of a data set.")] = "digits",
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            help="Time to search, such as 90s, 10m, 2h; training and measuring what is found "
            "come on top. 2m where --trials is not given.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            min=1,
            help="Trials of each strategy; with them and no --budget, a seed repeats a search.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of one trial, 2 by default.")
    ] = None,
    train_time: TrainTime = None,
    train_macs: TrainMacs = None,
    patience: Patience = None,
    final_epochs: Annotated[int, typer.Option(min=1, help="Epochs of the winner.")] = 8,
    baselines: Annotated[
        bool, typer.Option(help="Train and measure reference networks beside the winner.")
    ] = True,
    quantile: Annotated[
        float, typer.Option(help="Probability with which the predicted bound holds.")
    ] = 0.9,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="DEVICE=MS",
            help="Another device and its limit; may be given several times. All limits are kept.",
        ),
    ] = None,
    max_parameters: Annotated[
        float | None, typer.Option(help="Parameters at most, such as 2e6.")
    ] = None,
    max_macs: Annotated[
        float | None, typer.Option(help="Multiply-accumulates at most, such as 3e8.")
    ] = None,
    max_activation_bytes: Annotated[
        float | None,
        typer.Option(help="Bytes at most of the outputs that are needed at one time, float32."),
    ] = None,
    seed: Seed = 0,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Search a space under a latency limit; what is returned was measured within it."""
    from hwnas.cli.run_parts import TrainingLimits
    from hwnas.cli.search_run import SearchRequest, SearchRun

    costs = {
        "parameters": max_parameters,
        "macs": max_macs,
        "activation_bytes": max_activation_bytes,
    }
    time_s = None if train_time is None else seconds(train_time)
    request = SearchRequest(
        space=space_name,
        device=device,
        limit_ms=limit_ms,
        also=tuple(device_limit(text) for text in also or ()),
        limits={name: value for name, value in costs.items() if value is not None},
        folder=run,
        strategies=names("strategy", strategy),
        estimators=names("estimator", estimator),
        data=data,
        budget_s=None if budget is None and trials else seconds(budget or TIME),
        trials=trials,
        training=TrainingLimits.asked(epochs, time_s, train_macs, patience, usual=EPOCHS),
        final_epochs=final_epochs,
        baselines=baselines,
        quantile=quantile,
        seed=seed,
        resume=resume,
        force=force,
    )
    result = SearchRun(request).run()
    if as_json:
        print_json(result)
    else:
        show(result)
    best = result["best"]
    if not best["feasible"]:
        raise PromiseError(
            f"no finalist measured within {limit_ms:g} ms; the best measured "
            f"{best['measured_ms']:.4g} ms. Search again with a larger --budget or --quantile."
        )


def device_limit(text: str) -> tuple[str, float]:
    """A device and its limit, ms, from ``DEVICE=MS``.

    Raises:
        RequestError: It is not of that form.
    """
    name, _, limit = text.rpartition("=")
    try:
        limit_ms = float(limit)
    except ValueError:
        limit_ms = math.nan
    if not name.strip() or math.isnan(limit_ms):
        raise RequestError(
            f"--also takes a device and its limit such as phone=20; received '{text}'"
        )
    return name.strip(), limit_ms


def names(what: str, text: str) -> tuple[str, ...]:
    """Names from a text with commas.

    Raises:
        RequestError: One is empty or stands twice.
    """
    found = tuple(item.strip() for item in text.split(","))
    if "" in found or len(set(found)) < len(found):
        raise RequestError(
            f"--{what} takes names with commas between, each once; received '{text}'"
        )
    return found


def show(result: dict[str, Any]) -> None:
    """The end of a search as a table: the winner beside its baselines."""
    table = plain_table(
        f"Limit {result['limit_ms']:g} ms on {result['device']}",
        (
            "network",
            "predicted ms",
            "90 % interval",
            "measured ms",
            "within",
            "val %",
            "test %",
            "MMACs",
            "params k",
        ),
    )
    for row in (result["best"], *result["baselines"]):
        table.add_row(
            row["name"],
            number(row["predicted_ms"], ".4f"),
            span(row["low_ms"], row["high_ms"], ".4f", "–"),
            number(row["measured_ms"], ".4f"),
            "yes" if row["feasible"] else "no",
            number(100 * row["accuracy"], ".1f"),
            number(100 * row["test_accuracy"], ".1f"),
            number(row["macs"] / 1e6),
            number(row["parameters"] / 1e3, ".1f"),
        )
    output.print(table)
    best = result["best"]
    share = 100 * best["measured_ms"] / result["limit_ms"]
    error = 100 * (best["measured_ms"] / best["predicted_ms"] - 1)
    output.print(
        f"Measured {error:+.1f} % off the prediction, at {share:.1f}"
        f" % of the limit; {result['trials']} trials in {result['seconds']:.0f} s; "
        f"{result['run']}/best.onnx agrees with torch to {best['max_abs_error']:.1g}.",
        soft_wrap=True,
    )
    note(f"a bundle to deploy: hwnas export {result['run']} --out DIR")
