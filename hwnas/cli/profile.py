"""``hwnas profile``: measure a space on a device within a budget, then fit."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import (
    Budget,
    Force,
    Json,
    Resume,
    Seed,
    note,
    output,
    print_json,
    progress,
    seconds,
    target_of,
)
from hwnas.cli.device import latency_range
from hwnas.errors import ProfileError, RequestError, WorkError

if TYPE_CHECKING:
    from hwnas.profiles import DeviceProfile
    from hwnas.targets import Target


def profile(
    name: Annotated[str, typer.Argument(help="Name of the device.")],
    space_name: Annotated[str, typer.Option("--space", help="Search space to measure.")],
    budget: Budget = "10m",
    networks: Annotated[
        int, typer.Option(min=8, help="Whole networks to measure at most; a quarter is left out.")
    ] = 60,
    general: Annotated[
        int,
        typer.Option(
            "--general-kernels",
            min=0,
            help="Kernels of all kinds to measure besides, from which files of other networks "
            "are priced.",
        ),
    ] = 200,
    resume: Resume = False,
    force: Force = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure blocks, kernels and whole networks of a space, then fit the predictor."""
    from hwnas.profiles import DeviceProfile
    from hwnas.profiling import ProfilingSession, Progress
    from hwnas.spaces import space

    budget_s = seconds(budget)
    found, held = space(space_name), DeviceProfile.open(name, on_wait=note)
    if not resume and held.read().observations:
        raise RequestError(
            f"device '{name}' has measurements already; give --resume to go on with them, or make "
            "another device with 'hwnas device new'"
        )
    place = target_of(held)
    check_here(held, place, force=force)
    with progress(f"profiling {name}") as bar:

        def report(state: Progress) -> None:
            bar.update(
                min(1.0, state.seconds / state.budget_s),
                f"profiling {name}: {state.text}",
            )

        session = ProfilingSession(
            held,
            place,
            found,
            budget_s=budget_s,
            networks=networks,
            general=general,
            seed=seed,
            on_progress=report,
        )
        spent = session.run()
        bar.update(1.0, f"profiled {name}")
    held.compact()
    try:
        result = fitted(held)
    except ProfileError as error:
        raise WorkError(f"what was measured is kept, but was not fitted: {error}") from error
    measured = held.read().measurements()
    counts = {
        kind + "s": sum(key.startswith(f"{kind}:") for key in measured)
        for kind in ("kernel", "block", "network")
    }
    if as_json:
        print_json(
            {
                "device": name,
                "measured": counts,
                "seconds": round(spent, 1),
                "noise_floor_pct": result["noise_floor_pct"],
                "accuracy": result,
            }
        )
        return
    note(
        f"measured {counts['kernels']} kernels, {counts['blocks']} blocks and "
        f"{counts['networks']} networks in {spent:.0f} s"
    )
    show_accuracy(result)


def check_here(held: "DeviceProfile", place: "Target", *, force: bool = False) -> None:
    """Say where a profile may not hold on this machine as it is now.

    A worker process is opened to ask, under the device's lock, and only where
    something was measured.

    Args:
        held: The profile.
        place: The device's target.
        force: Whether to go on where the profile does not hold.

    Raises:
        RequestError: The runtime, its version or the threads are not those of the profile.
        RuntimeFailure: The device does not start.
    """
    from hwnas.profiles.conditions import of_worker

    if not held.read().sessions:
        return
    with held.exclusive(), place.open() as worker:
        now = of_worker(worker.hello, held.device.threads)
    for text in held.check_conditions(now, force=force):
        note(f"warning: device '{held.device.name}': {text}")


def fitted(held: "DeviceProfile") -> dict[str, Any]:
    """Fit the predictor of a profile, keep it, and say how good it is on left-out networks."""
    from hwnas.predictors import LatencyPredictor, evaluate
    from hwnas.profiling.bags import profiled_bags

    name = held.device.name
    with progress(f"fitting {name}") as bar:
        records = held.read()
        bar.update(0.05, f"fitting {name}: kernels of its networks")
        bags = profiled_bags(records, held.device.runtime)
        bar.update(0.2, f"fitting {name}: prices of kernels and blocks, and what sums of them miss")
        predictor = LatencyPredictor().fit(records, bags)
        bar.update(0.95, f"fitting {name}: networks that were left out")
        result = evaluate(predictor, bags)
        bar.update(1.0, f"fitted {name}")
    result["networks_ms"] = latency_range([n.measurement.latency_ms for n in bags.networks])
    predictor.save(held.predictor_path)
    return result


def show_accuracy(result: dict[str, Any]) -> None:
    """The accuracy beside its baselines, as a table."""
    table = Table(
        title=f"Accuracy on {result['count']} networks that were left out",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("predictor")
    for column in ("MAPE %", "within 5 %", "within 10 %", "Spearman", "Kendall"):
        table.add_column(column, justify="right")
    rows = {
        "table + residual": result,
        "sum of blocks": result["baselines"]["table_sum"],
        "sum of kernels": result["baselines"]["kernel_sum"],
        "FLOPs, a fitted line": result["baselines"]["flops"],
    }
    for label, row in rows.items():
        table.add_row(
            label,
            f"{row['mape_pct']:.2f}",
            f"{row['within_5_pct']:.0f}",
            f"{row['within_10_pct']:.0f}",
            f"{row['spearman']:.3f}",
            f"{row['kendall']:.3f}",
        )
    output.print(table)
    if result["noise_floor_pct"] is not None:
        output.print(f"Noise floor of the measurement: {result['noise_floor_pct']:.2f} %")
