"""``hwnas bench``: methods of this tool on tables that others measured."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.bench_search import bench_search
from hwnas.cli.common import Bar, Json, note, output, plain, print_json, progress
from hwnas.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.predictors.candidates import Candidates

    Floats = NDArray[np.float64]

app = typer.Typer(no_args_is_help=True, help="Methods of hwnas on any table.")

QUIET_S = 2.0
"""Nothing is said about progress before."""

LEVEL = 0.9
"""Of the intervals whose share of latencies inside is said."""

BASELINES = {
    "flops": "FLOPs",
    "best_reference": "best reference by the samples",
    "median_reference": "median of the references",
}


@app.callback()
def options() -> None:
    """Methods of hwnas on any table."""


app.command("search")(bench_search)


@app.command("transfer")
def transfer(
    latencies: Annotated[
        Path, typer.Option("--latencies", help="CSV (or CSV.gz), a column per device, in ms.")
    ],
    reference: Annotated[str, typer.Option("--reference", help="Reference devices: A,B,…")],
    targets: Annotated[str, typer.Option("--targets", help="Devices to predict: C,D,…")],
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Architectures measured on each target.")
    ] = 10,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Repetitions.")] = 10,
    genes: Annotated[
        Path | None, typer.Option("--genes", help="CSV, one column of integers per choice.")
    ] = None,
    arch_column: Annotated[
        str, typer.Option("--arch-column", help="Column of NAS-Bench-201 strings.")
    ] = "arch_str",
    choose: Annotated[
        bool, typer.Option("--choose", help="Choose the samples; otherwise they are random.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Predict the latency of all architectures on new devices from a few of them."""
    from hwnas.cli.tables import integers, names_of, read_table

    table = read_table(latencies)
    references, wanted = names_of("--reference", reference), names_of("--targets", targets)
    shared = [name for name in wanted if name in references]
    if shared:
        raise RequestError(
            f"a target cannot be a reference: {', '.join(shared)} in both; "
            "take it from --reference or from --targets"
        )
    reference_ms = table.latencies_ms(references)
    target_ms = table.latencies_ms(wanted)
    macs = None
    costs: tuple[Floats, ...] = ()
    if genes is not None:
        from hwnas.predictors.cells import gene_features

        features = gene_features(integers(genes, table.rows))
    elif arch_column in table.columns:
        from hwnas.predictors.cells import cell_costs, cell_features, cell_macs

        cells = table.column(arch_column)
        features, macs = cell_features(cells), cell_macs(cells)
        costs = cell_costs(cells)
    else:
        raise RequestError(
            f"'{latencies}' has no column '{arch_column}' of architectures; its columns: "
            f"{', '.join(table.columns)}. Give --arch-column, or --genes FILE.csv"
        )
    with progress("predicting") as bar:
        result = transferred(
            reference_ms,
            dict(zip(wanted, target_ms.T, strict=True)),
            features,
            macs,
            costs=costs,
            samples=samples,
            seeds=seeds,
            chosen=choose,
            bar=bar,
        )
    result |= {
        "samples": samples,
        "seeds": seeds,
        "chosen": "by variance" if choose else "at random",
    }
    for name, row in result["targets"].items():
        if row["spearman_mean"] is None:
            note(
                f"warning: the latencies of '{name}' that judge are all the same, so it has no "
                "rank correlation and is left out of the mean"
            )
    if as_json:
        print_json(result)
    else:
        output.print(_shown(result))


def transferred(
    reference_ms: "Floats",
    targets_ms: "dict[str, Floats]",
    features: "tuple[Floats, ...]",
    macs: "Floats | None",
    *,
    costs: "tuple[Floats, ...]" = (),
    samples: int,
    seeds: int,
    chosen: bool = False,
    bar: Bar | None = None,
) -> dict[str, Any]:
    """Few-shot prediction and its baselines, judged on all that was not sampled.

    The baselines see the same samples: each is a line through the logarithms. The best
    reference is the one that correlates best with the samples.

    Args:
        reference_ms: Latencies ``(n, references)``.
        targets_ms: Latencies ``(n,)`` by target.
        features: Architecture features, matrices ``(n, k)``.
        macs: Multiply-accumulates ``(n,)``, where they are known.
        costs: What a device may pay for, where features do not say it.
        samples: How many architectures are measured on each target.
        seeds: How often.
        chosen: Whether they are chosen; random otherwise.
        bar: Told about progress.

    Raises:
        RequestError: Too few samples, or so many that nothing is left to judge by.
    """
    import numpy as np

    from hwnas.predictors.candidates import Candidates
    from hwnas.predictors.transfer import LEAST_SAMPLES, FewShot

    begun = time.monotonic()
    count = len(reference_ms)
    if not LEAST_SAMPLES <= samples <= count - 3:
        raise RequestError(
            f"--samples is from {LEAST_SAMPLES} to {count - 3}, for {count} architectures of "
            f"which at least 3 judge; received {samples}"
        )
    logs = np.log(reference_ms)
    candidates = Candidates(logs, features, costs)
    plain = {"median_reference": np.median(logs, axis=1)[:, None], "best_reference": logs}
    if macs is not None:
        plain["flops"] = np.log(macs)[:, None]
    # The same for every target: what is chosen depends on nothing of theirs.
    drawn = [_sampled(candidates, samples, seed, chosen) for seed in range(seeds)]
    found: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {name: {} for name in BASELINES if name in plain}
    for number, (target, truth) in enumerate(targets_ms.items()):
        rows: dict[str, list[dict[str, float | None]]] = {name: [] for name in ("", *plain)}
        for seed, own in enumerate(drawn):
            if bar is not None and time.monotonic() - begun > QUIET_S:
                share = (number + seed / seeds) / len(targets_ms)
                bar.update(share, f"predicting {target}")
            left = np.setdiff1d(np.arange(count), own)
            ours, low, high = FewShot().fit(candidates, own, truth[own]).predict_interval(LEVEL)
            inside = (low <= truth) & (truth <= high)
            rows[""].append(
                {**_scored(ours[left], truth[left]), "inside_pct": 100 * float(inside[left].mean())}
            )
            for name, columns in plain.items():
                predicted = _best_line(columns, own, truth[own])
                rows[name].append(_scored(predicted[left], truth[left]))
        found[target] = _summary(rows.pop(""))
        for name, scores in rows.items():
            below[name][target] = _summary(scores)
    return {
        "targets": found,
        "mean": _mean(found),
        "baselines": {n: {"targets": own, "mean": _mean(own)} for n, own in below.items()},
    }


def _sampled(candidates: "Candidates", samples: int, seed: int, chosen: bool) -> Any:
    import numpy as np

    from hwnas.predictors.transfer import choose

    if chosen:
        return choose(candidates, samples, seed)
    return np.random.default_rng(seed).choice(candidates.count, samples, replace=False)


def _best_line(columns: "Floats", own: Any, latency_ms: "Floats") -> "Floats":
    """Latencies of all, ``(n,)`` ms, by the column whose line fits the samples' logs best."""
    import numpy as np

    logs = np.log(latency_ms)
    fits = []
    for column in columns.T:
        middle = column[own].mean()
        centre = column[own] - middle
        slope = float(centre @ logs) / max(float(centre @ centre), 1e-12)
        line = logs.mean() + slope * (column - middle)
        fits.append((float(((line[own] - logs) ** 2).sum()), line))
    return np.asarray(np.exp(min(fits, key=lambda fit: fit[0])[1]))


def _scored(predicted: "Floats", truth: "Floats") -> dict[str, float | None]:
    import numpy as np
    from scipy.stats import spearmanr

    errors = 100 * np.abs(predicted / truth - 1)
    rank: float | None = None
    # A target whose latencies are all the same has no ranks; a prediction of such a kind has none
    # where there are some to find.
    if np.ptp(truth) > 0:
        rank = float(spearmanr(predicted, truth).statistic) if np.ptp(predicted) > 0 else 0.0
    return {
        "spearman": rank,
        "mape_pct": float(errors.mean()),
        "median_error_pct": float(np.median(errors)),
    }


def _summary(scores: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Means over the seeds; MAPE is at the mercy of near-zero latencies, the median is not."""
    import numpy as np

    def values(name: str) -> list[float]:
        return [value for row in scores if (value := row[name]) is not None]

    ranks = values("spearman")
    return {
        "spearman_mean": round(float(np.mean(ranks)), 4) if ranks else None,
        "spearman_std": round(float(np.std(ranks)), 4) if ranks else None,
        **{
            name: round(float(np.mean(values(name))), 3) for name in scores[0] if name != "spearman"
        },
    }


def _mean(targets: dict[str, Any]) -> float | None:
    """The mean rank correlation of the targets that have one."""
    ranks = [row["spearman_mean"] for row in targets.values() if row["spearman_mean"] is not None]
    return round(sum(ranks) / len(ranks), 4) if ranks else None


def _rank(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _shown(result: dict[str, Any]) -> Table:
    table = Table(
        title=f"Rank correlation with {result['samples']} samples {result['chosen']}, "
        f"{result['seeds']} seeds",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("device")
    for column in ("Spearman", "±", "median error %", *(BASELINES[n] for n in result["baselines"])):
        table.add_column(column, justify="right")
    for name, row in result["targets"].items():
        table.add_row(
            plain(name),
            _rank(row["spearman_mean"]),
            _rank(row["spearman_std"]),
            f"{row['median_error_pct']:.1f}",
            *(_rank(b["targets"][name]["spearman_mean"]) for b in result["baselines"].values()),
        )
    others = (_rank(b["mean"]) for b in result["baselines"].values())
    table.add_row("mean", _rank(result["mean"]), "", "", *others)
    return table
