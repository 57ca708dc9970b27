"""``hwnas bench search``: every strategy on a table, over many seeds."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import Bar, Json, note, output, plain, print_json, progress
from hwnas.errors import InfeasibleLimitError, RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.cli.tables import CsvTable
    from hwnas.search.table import ArchitectureTable
    from hwnas.spaces import SearchSpace

QUIET_S = 2.0
"""Nothing is said about progress before."""

MARKS = (10, 20, 50, 100, 150, 200, 300, 500, 1000)
"""Numbers of queries at which regrets are told."""

RANDOM = "random"
RESAMPLES = 2000


def bench_search(
    table: Annotated[
        Path, typer.Option("--table", help="CSV (or CSV.gz), a row per architecture.")
    ],
    accuracy: Annotated[
        str, typer.Option("--accuracy", help="Column that the search sees, higher is better.")
    ],
    strategies: Annotated[
        str, typer.Option("--strategies", help="Names with commas between, or 'all'.")
    ] = "all",
    latency: Annotated[
        str | None, typer.Option("--latency", help="Column of latencies, ms, for --limit.")
    ] = None,
    limit: Annotated[float | None, typer.Option("--limit", help="Latency limit, ms.")] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge", help="Column by which what was picked is judged (test accuracy, say)."
        ),
    ] = None,
    latencies: Annotated[
        Path | None,
        typer.Option("--latencies", help="Another CSV that has the latencies, row by row."),
    ] = None,
    space_name: Annotated[
        str | None,
        typer.Option("--space", help="The space whose genotypes column 'arch' holds."),
    ] = None,
    budget: Annotated[
        int, typer.Option("--budget", min=1, help="Architectures that a search may look up.")
    ] = 150,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Searches per strategy.")] = 20,
    as_json: Json = False,
) -> None:
    """Strategies on any table of trained architectures: what they pick, and their regret."""
    from hwnas.cli.tables import names_of, read_table
    from hwnas.search.registry import DISCRETE
    from hwnas.search.strategy import check_strategy

    if (latency is None) != (limit is None):
        raise RequestError("--latency and --limit belong together: give both, or none")
    if limit is not None and not (limit > 0 and math.isfinite(limit)):
        raise RequestError(f"--limit is a positive number of milliseconds; received {limit:g}")
    names = list(DISCRETE) if strategies == "all" else names_of("--strategies", strategies)
    for name in names:
        check_strategy(name)
        if name not in DISCRETE:
            raise RequestError(
                f"strategy '{name}' trains shared weights, which a table does not have; those "
                f"that run on tables: {', '.join(DISCRETE)}"
            )
    if RANDOM not in names:
        names.append(RANDOM)
    csv = read_table(table)
    other = csv if latencies is None else read_table(latencies)
    own = architecture_table(csv, other, space_name, accuracy, judge, latency)
    begun = time.monotonic()
    with progress("searching") as bar:
        result = searched(own, names, limit, budget=budget, seeds=seeds, bar=bar)
    result |= {
        "table": str(table),
        "accuracy": accuracy,
        "judge": judge or accuracy,
        "latency": latency,
        "limit_ms": limit,
        "architectures": len(own.rows),
        "budget": budget,
        "seeds": seeds,
        "seconds": round(time.monotonic() - begun, 1),
    }
    if as_json:
        print_json(result)
    else:
        output.print(_shown(result))


def architecture_table(
    csv: "CsvTable",
    other: "CsvTable",
    space_name: str | None,
    accuracy: str,
    judge: str | None,
    latency: str | None,
) -> "ArchitectureTable":
    """The architectures of a CSV file.

    Args:
        csv: Architectures and accuracies.
        other: Latencies, row by row; the same file where they stand in it.
        space_name: The space of column ``arch``, if it is one of hwnas.
        accuracy: Column that searches see.
        judge: Column by which picks are judged; ``accuracy`` if ``None``.
        latency: Column of latencies, ms, if they matter.

    Raises:
        RequestError: The files do not belong together, or hold no such table.
        UnknownNameError: A column does not exist.
    """
    from hwnas.search.table import ArchitectureTable

    if other.rows != csv.rows:
        raise RequestError(
            f"'{other.path}' has {other.rows} rows, '{csv.path}' {csv.rows}; they must be the same "
            "architectures, row by row"
        )
    for column in ("arch", "arch_str"):
        if csv is not other and column in csv.columns and column in other.columns:
            if csv.column(column) != other.column(column):
                raise RequestError(
                    f"'{other.path}' and '{csv.path}' have other architectures in their rows: "
                    f"their columns '{column}' differ"
                )
    own, genotypes = _genotypes(csv, space_name)
    latency_ms = None if latency is None else other.latencies_ms([latency])[:, 0]
    return ArchitectureTable(
        own,
        genotypes,
        csv.numbers(accuracy),
        latency_ms,
        None if judge is None else csv.numbers(judge),
    )


def _genotypes(csv: "CsvTable", space_name: str | None) -> "tuple[SearchSpace, NDArray[Any]]":
    """The space and the genotypes ``(n, choices)`` of the rows."""
    import numpy as np

    from hwnas.search.table import table_space
    from hwnas.spaces import space
    from hwnas.spaces.cell import EDGES, OPERATIONS
    from hwnas.spaces.nasbench201 import genotype_of

    if "arch" in csv.columns:
        texts = csv.column("arch")
        for line, text in enumerate(texts, start=2):
            if not (text.isascii() and text.isdecimal()) or len(text) != len(texts[0]):
                raise RequestError(
                    f"'{csv.path}', line {line}, column 'arch': an architecture is a digit for "
                    f"each of {len(texts[0])} choices; received '{text}'"
                )
        found = np.array([[int(digit) for digit in text] for text in texts], dtype=np.int64)
        if space_name is None:
            # Digits say nothing of an order among the values.
            sizes = found.max(axis=0) + 1
            values = [tuple(str(digit) for digit in range(size)) for size in sizes]
            return table_space(csv.path.name, values), found
        own = space(space_name)
        for row in found.tolist():
            own.check(row)
        if not (own.canonical(found) == found).all():
            raise RequestError(
                f"'{csv.path}' has architectures whose choices that do not count are not 0, as "
                f"space '{space_name}' writes them"
            )
        return own, found
    if "arch_str" in csv.columns:
        found = np.array([genotype_of(text) for text in csv.column("arch_str")], dtype=np.int64)
        return table_space(csv.path.name, [OPERATIONS] * len(EDGES)), found
    raise RequestError(
        f"'{csv.path}' has neither a column 'arch' (a digit for each choice) nor 'arch_str' "
        f"(NAS-Bench-201's strings); its columns: {', '.join(csv.columns)}"
    )


def searched(
    table: "ArchitectureTable",
    names: list[str],
    limit_ms: float | None,
    *,
    budget: int,
    seeds: int,
    bar: Bar | None = None,
    marks: tuple[int, ...] = MARKS,
) -> dict[str, Any]:
    """Every strategy with every seed on a table.

    The optimum is the highest judged value of all that keeps the limit, and regrets are
    differences to it.

    Args:
        table: The table.
        names: Discrete strategies.
        limit_ms: The limit, if any.
        budget: Queries of a search.
        seeds: Searches per strategy.
        bar: Told about progress.
        marks: Numbers of queries at which regrets are told; the budget always is.

    Raises:
        InfeasibleLimitError: Nothing in the table keeps the limit.
        RequestError: A strategy does not fit the table's space.
    """
    from hwnas.search.registry import DISCRETE
    from hwnas.search.table import run_on_table

    within = table.within(limit_ms)
    if not within.any():
        lowest = int(table.latency_ms.argmin())
        raise InfeasibleLimitError(
            f"nothing in the table is within {limit_ms:g} ms; the fastest takes "
            f"{table.latency_ms[lowest]:.4g} ms. Give a --limit of at least that",
            float(table.latency_ms[lowest]),
            list(table.rows)[lowest],
        )
    optimum = float(table.judged[within].max())
    constraint = table.constraint(limit_ms)
    begun = time.monotonic()
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for number, name in enumerate(names):
        runs = []
        for seed in range(seeds):
            if bar is not None and time.monotonic() - begun > QUIET_S:
                bar.update((number + seed / seeds) / len(names), f"{name}, seed {seed}")
            try:
                strategy = DISCRETE[name](table.space, constraint, seed)
            except RequestError as error:
                left_out[name] = str(error)
                break
            runs.append(run_on_table(strategy, table, budget))
        if runs:
            found[name] = _summary(runs, optimum, budget, marks)
    for name, why in left_out.items():
        note(f"warning: '{name}' is left out: {why}")
    if not found:
        raise RequestError("no strategy fits the table")
    return {"optimum": optimum, "feasible": int(within.sum()), "strategies": found}


def _summary(
    runs: list[Any], optimum: float, budget: int, marks: tuple[int, ...]
) -> dict[str, Any]:
    """Means over seeds of what was picked at the end, and regrets on the way."""
    import numpy as np

    # A search that ended early keeps what it has.
    curves = np.full((len(runs), budget), math.nan)
    for row, run in zip(curves, runs, strict=True):
        row[: len(run.picked)] = run.picked
        row[len(run.picked) :] = run.picked[-1] if len(run.picked) else math.nan
    last = curves[:, -1]
    regrets = optimum - last
    drawn = np.random.default_rng(0).integers(len(runs), size=(RESAMPLES, len(runs)))
    low, high = np.nanquantile(np.nanmean(regrets[drawn], axis=1), (0.025, 0.975))
    told_at = sorted({*(mark for mark in marks if mark < budget), budget})
    return {
        "mean": _round(np.nanmean(last)),
        "std": _round(np.nanstd(last)),
        "regret_mean": _round(np.nanmean(regrets)),
        "regret_median": _round(np.nanmedian(regrets)),
        "regret_low": _round(low),
        "regret_high": _round(high),
        "hits_optimum": int((regrets <= 1e-12).sum()),
        "queries_mean": _round(np.mean([run.queries for run in runs])),
        "regret_at": {
            str(mark): _round(np.nanmean(optimum - curves[:, mark - 1])) for mark in told_at
        },
    }


def _round(value: Any) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


def _shown(result: dict[str, Any]) -> Table:
    """The outcome as a table, the smallest regret first."""
    marks = list(next(iter(result["strategies"].values()))["regret_at"])
    title = f"{result['table']}: optimum {result['optimum']:.5g} of {result['feasible']}"
    if result["limit_ms"] is not None:
        title += f" within {result['limit_ms']:g} ms"
    shown = Table(title=plain(title), title_justify="left")
    shown.add_column("strategy")
    for name in ("mean", "std", "regret (95 %)", "hits", *(f"after {mark}" for mark in marks)):
        shown.add_column(name, justify="right")

    def regret(item: tuple[str, dict[str, Any]]) -> float:
        value = item[1]["regret_mean"]
        return math.inf if value is None else value

    for name, row in sorted(result["strategies"].items(), key=regret):
        shown.add_row(
            name,
            _number(row["mean"]),
            _number(row["std"]),
            f"{_number(row['regret_mean'])} ({_number(row['regret_low'])}–"
            f"{_number(row['regret_high'])})",
            f"{row['hits_optimum']}/{result['seeds']}",
            *(_number(row["regret_at"][mark]) for mark in marks),
        )
    return shown


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
