"""``hwnas trials``: what a search has found so far, also while it runs."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.columns import number, plain_table, span
from hwnas.cli.common import Json, note, output, print_json

SHOWN = 20


def trials(
    run: Annotated[Path, typer.Argument(help="The --run folder of a search.")],
    optuna: Annotated[
        Path | None,
        typer.Option(
            "--optuna", help="Write the trials as a journal file of Optuna's, for its dashboard."
        ),
    ] = None,
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Show every trial, not the best only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The trials of a search: the best feasible one, the front, and what was measured."""
    from hwnas.search.history import History

    history = History.of(run)
    front = {trial.number for trial in history.front()}
    best = history.best()
    if optuna is not None:
        from hwnas.search.optuna_export import export_to_optuna

        count = export_to_optuna(history, optuna, run.resolve().name)
        note(f"{count} trials are in '{optuna}': optuna-dashboard {optuna}")
    if as_json:
        print_json(
            {
                "run": str(run),
                "limit_ms": history.limit_ms,
                "best": None if best is None else best.number,
                "front": sorted(front),
                "breaches": history.breaches,
                "measured_ms": {
                    device or history.header["device"]: {str(k): v for k, v in own.items()}
                    for device, own in history.measured_ms.items()
                },
                "trials": [
                    {**trial.to_json(), "values": history.values(trial)} for trial in history.trials
                ],
            }
        )
        return
    failed = sum(trial.value is None for trial in history.trials)
    strategies = ", ".join(dict.fromkeys(trial.strategy for trial in history.trials)) or "nothing"
    output.print(
        f"{len(history.trials)} trials of {strategies} in space "
        f"{history.header['space']['name']}, limit {history.limit_ms:g} ms on "
        f"{history.header['device']}; {failed} failed, {len(front)} on the front, bounds widened "
        f"{history.breaches} times",
        soft_wrap=True,
    )
    ranked = sorted(history.trials, key=lambda t: (t.value is None, -(t.value or 0.0), t.number))
    table = plain_table(
        "Trials, the most accurate first",
        ("trial", "strategy", "value", "predicted ms", "interval", "measured ms", "", "seconds"),
    )
    measured = history.measured_ms.get(None, {})
    for trial in ranked if all_of_them else ranked[:SHOWN]:
        marks: list[str] = []
        if best is not None and trial.number == best.number:
            marks.append("best")
        if trial.number in front:
            marks.append("front")
        table.add_row(
            str(trial.number),
            trial.strategy,
            number(trial.value, ".4g"),
            number(trial.predicted_ms, ".4f"),
            span(trial.low_ms, trial.high_ms, ".4f", "–"),
            number(measured.get(trial.number), ".4f"),
            " ".join(marks),
            number(trial.seconds, ".1f"),
        )
    output.print(table)
    if len(ranked) > SHOWN and not all_of_them:
        note(f"{len(ranked) - SHOWN} more with --all")
