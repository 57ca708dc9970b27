"""The scoreboard on a table whose accuracies are known: its columns as estimators."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.cli.common import progress
from hwnas.cli.tables import CsvTable, read_table
from hwnas.errors import RequestError
from hwnas.estimators.ranking import Floats, cost_bands
from hwnas.estimators.scoreboard import BASELINE, LEAST, scoreboard, warnings_of
from hwnas.predictors.cells import cell_macs, cell_parameters

SIZES = {"macs": cell_macs, "parameters": cell_parameters}
"""What is computed of NAS-Bench-201 strings where the table does not have it."""

NUMBERS = ("idx", "index", "id")
"""Columns that number the rows and are nobody's score."""


def scored_table(
    path: Path,
    accuracy: str,
    names: Sequence[str] | None,
    *,
    band: str | None,
    arch_column: str,
    count: int | None,
    seed: int,
) -> dict[str, Any]:
    """Columns of a table ranked against one of accuracies.

    Args:
        path: A CSV file; an empty field is no value.
        accuracy: The column of the truth; rows without one are left out.
        names: The columns to judge; all of numbers by default.
        band: The column of cost that bands are made of; MACs where there are any.
        arch_column: The column of NAS-Bench-201 strings, if the table has one.
        count: How many rows, drawn at random; all by default.
        seed: Seed of the draw and of the resamples.

    Returns:
        What ``hwnas score --table --json`` prints.

    Raises:
        UnknownNameError: A column does not exist.
        RequestError: A column holds something other than numbers, or rows are too few.
    """
    table = read_table(path)
    truth = numbers(table, accuracy)
    known = np.flatnonzero(np.isfinite(truth))
    without = len(truth) - len(known)
    if count is not None:
        if not LEAST <= count <= len(known):
            raise RequestError(
                f"--n is from {LEAST} to {len(known)}, the rows of '{path}' with a value in "
                f"'{accuracy}'; received {count}"
            )
        known = np.sort(np.random.default_rng(seed).choice(known, count, replace=False))
    if len(known) < LEAST:
        raise RequestError(
            f"'{path}' has {len(known)} rows with a value in '{accuracy}'; at least {LEAST} are "
            "needed"
        )
    values = _columns(table, accuracy, names, arch_column)
    costs = values.get(BASELINE) if band is None else numbers(table, band)
    values = {name: column[known] for name, column in values.items()}
    bands = None
    if costs is not None:
        if not np.isfinite(costs[known]).all():
            raise RequestError(f"column '{band or BASELINE}' in '{path}' has rows without a cost")
        bands = cost_bands(costs[known])
    with progress(f"{len(values)} columns") as bar:
        rows = scoreboard(
            values,
            truth[known],
            bands=bands,
            seed=seed,
            on_row=lambda done: bar.update(done / len(values), f"{done} columns"),
        )
    said = warnings_of(rows)
    if BASELINE not in values:
        said.append(
            f"'{path}' has no column '{BASELINE}' and no '{arch_column}' to count them from: "
            "whether anything beats MACs is not known"
        )
    return {
        "n": len(known),
        "reference": accuracy,
        "scores": [row.to_json() for row in rows],
        "asked": len(truth) if count is None else count,
        "diverged": without if count is None else 0,
        "of": str(path),
        "seed": seed,
        "band": band or "MACs",
        "best": float(truth[known].max()),
        "worst": float(truth[known].min()),
        "warnings": said,
    }


def _columns(
    table: CsvTable, accuracy: str, names: Sequence[str] | None, arch_column: str
) -> dict[str, Floats]:
    """The columns to judge, and MACs and parameters wherever they can be had."""
    if names is None:
        chosen = {
            name: column
            for name in table.columns
            if name not in (accuracy, arch_column) and name.lower() not in NUMBERS
            if (column := _numbers_or_none(table, name)) is not None
        }
    else:
        chosen = {name: numbers(table, name) for name in names}
    for name, count in SIZES.items():
        if name in chosen:
            continue
        if name in table.columns:
            chosen[name] = numbers(table, name)
        elif arch_column in table.columns:
            chosen[name] = count(table.column(arch_column))
    return chosen


def numbers(table: CsvTable, name: str) -> Floats:
    """A column as numbers ``(rows,)``; NaN where a field is empty or not finite.

    Raises:
        UnknownNameError: There is no such column.
        RequestError: A value is no number.
    """
    found = np.full(table.rows, np.nan)
    for row, text in enumerate(table.column(name)):
        if not text.strip():
            continue
        try:
            found[row] = float(text)
        except ValueError as error:
            raise RequestError(
                f"'{table.path}', line {row + 2}, column '{name}': expected a number or nothing, "
                f"received '{text}'"
            ) from error
    return np.where(np.isfinite(found), found, np.nan)


def _numbers_or_none(table: CsvTable, name: str) -> Floats | None:
    try:
        column = numbers(table, name)
    except RequestError:
        return None
    return column if np.isfinite(column).any() else None
