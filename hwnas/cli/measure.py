"""``hwnas measure``: the real latency of ONNX files on a device."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import (
    Budget,
    DeviceName,
    Json,
    check_device,
    note,
    output,
    plain,
    print_json,
    progress,
    seconds,
    target_of,
)
from hwnas.errors import PromiseError, RuntimeFailure

SHOWN_STRETCHES = 20


def measure(
    models: Annotated[list[Path], typer.Argument(help="ONNX files.")],
    device: DeviceName,
    input_shape: Annotated[
        list[str] | None, typer.Option("--input-shape", help="NAME:1,3,224,224 for dynamic inputs.")
    ] = None,
    budget: Budget = "60s",
    sustained: Annotated[
        str, typer.Option("--sustained", help="Also run each without a pause, such as 10m.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Measure models on a device: all in the same rounds, in four fresh processes."""
    from hwnas.cli.models import open_models
    from hwnas.profiles import DeviceProfile
    from hwnas.profiling.models import measure_models

    sustained_s = seconds(sustained) if sustained else 0.0
    payloads = {
        path: model.SerializeToString()
        for path, model in open_models(models, input_shape or [], weights=True).items()
    }
    held = DeviceProfile.open(device, on_wait=note)
    check_device(held)
    place = target_of(held)
    with progress(f"measuring on {device}") as bar:
        found, failures, conditions = measure_models(
            held, place, payloads, budget_s=seconds(budget), on_progress=bar.update
        )
        bar.update(1.0)
    for name, reason in failures.items():
        note(f"'{name}' was not measured: {reason}")
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "latency_ms": m.latency_ms,
            "low_ms": m.low_ms,
            "high_ms": m.high_ms,
            "median_ms": m.median_ms,
            "cold_ms": m.cold_ms,
            "first_ms": m.first_ms,
            "build_ms": m.build_ms,
            "verdict": m.verdict,
            "rounds": m.rounds,
            "sha256": m.key.removeprefix("model:"),
            "sessions": m.sessions,
            "conditions": conditions,
        }
        # A file that is named twice has two rows.
        for name, m in ((name, found[name]) for name in sorted(map(str, models)) if name in found)
    ]
    if sustained_s:
        series = {
            name: _sustained(held, place, name, payloads[name], sustained_s)
            for name in dict.fromkeys(row["model"] for row in rows)
        }
        rows = [{**row, "sustained": series[row["model"]]} for row in rows]
    if as_json:
        print_json({"device": device, "measurements": rows, "failures": failures})
    elif rows:
        _show(rows)
    if failures:
        raise RuntimeFailure(f"{len(failures)} of {len(payloads)} models were not measured")
    if any(row["verdict"] == "unstable" for row in rows):
        raise PromiseError("a measurement is unstable: the machine was never quiet; measure again")


def _sustained(held: Any, place: Any, name: str, model: bytes, duration_s: float) -> dict[str, Any]:
    from hwnas.profiling.sustained import drift_pct, sustained

    with progress(f"running {name} without a pause") as bar:
        series = sustained(
            held,
            place,
            model,
            seconds=duration_s,
            on_window=lambda item: bar.update(min(1.0, item.at_s / duration_s)),
        )
    return {"drift_pct": drift_pct(series), "series": [item.to_json() for item in series]}


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("model", "latency ms", "95 % interval", "median", "cold", "first", "build"):
        table.add_column(column, justify="left" if column == "model" else "right")
    table.add_column("verdict")
    for row in rows:
        cold = row["cold_ms"]
        table.add_row(
            plain(row["model"]),
            f"{row['latency_ms']:.4f}",
            f"{row['low_ms']:.4f}–{row['high_ms']:.4f}",
            f"{row['median_ms']:.4f}",
            "–" if cold is None else f"{cold:.3f}",
            f"{row['first_ms']:.3f}",
            f"{row['build_ms']:.1f}",
            str(row["verdict"]),
        )
    output.print(table)
    output.print(
        "latency: warm, quiet time · median: all runs · cold: caches emptied before each run · "
        "first: after building · build: of the session"
    )
    for row in rows:
        if "sustained" in row:
            _show_series(row)


def _show_series(row: dict[str, Any]) -> None:
    series = row["sustained"]["series"]
    output.print(
        f"{row['model']} without a pause: {row['sustained']['drift_pct']:+.1f} % from the first "
        "tenth of the time to the last",
        markup=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("until s", "median ms", "least", "95 %", "runs"):
        table.add_column(column, justify="right")
    step = -(-len(series) // SHOWN_STRETCHES)
    for item in series[step - 1 :: step]:
        table.add_row(
            f"{item['at_s']:.0f}",
            f"{item['median_ms']:.4f}",
            f"{item['least_ms']:.4f}",
            f"{item['high_ms']:.4f}",
            str(item["runs"]),
        )
    output.print(table)
