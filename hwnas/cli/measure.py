"""``hwnas measure``: the real latency of ONNX files on a device."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hwnas.cli.common import (
    Budget,
    DeviceName,
    Json,
    note,
    output,
    print_json,
    progress,
    seconds,
)
from hwnas.errors import PromiseError, RuntimeFailure


def measure(
    models: Annotated[list[Path], typer.Argument(help="ONNX files.")],
    device: DeviceName,
    input_shape: Annotated[
        list[str] | None, typer.Option("--input-shape", help="NAME:1,3,224,224 for dynamic inputs.")
    ] = None,
    budget: Budget = "60s",
    as_json: Json = False,
) -> None:
    """Measure models on a device: all in the same rounds, in four fresh processes."""
    from hwnas.cli.models import open_model, parse_shapes
    from hwnas.profiles import DeviceProfile
    from hwnas.profiling.models import measure_models
    from hwnas.runtimes import runtime
    from hwnas.targets import target

    shapes = parse_shapes(input_shape or [])
    payloads = {str(path): open_model(path, shapes).SerializeToString() for path in models}
    held = DeviceProfile.open(device)
    own = held.device
    with progress(f"measuring on {device}") as bar:
        found, failures, conditions = measure_models(
            held,
            target(runtime(own.runtime), own.transport, own.threads),
            payloads,
            budget_s=seconds(budget),
            on_progress=bar.update,
        )
        bar.update(1.0)
    for name, reason in failures.items():
        note(f"'{name}' was not measured: {reason}")
    rows = [
        {
            "model": name,
            "latency_ms": m.latency_ms,
            "low_ms": m.low_ms,
            "high_ms": m.high_ms,
            "median_ms": m.median_ms,
            "cold_ms": m.cold_ms,
            "build_ms": m.build_ms,
            "verdict": m.verdict,
            "rounds": m.rounds,
            "conditions": conditions,
        }
        for name, m in sorted(found.items())
    ]
    if as_json:
        print_json({"device": device, "measurements": rows, "failures": failures})
    elif rows:
        table = Table(box=None, pad_edge=False)
        for column in (
            "model",
            "latency ms",
            "95 % interval",
            "median",
            "cold",
            "build",
            "verdict",
        ):
            table.add_column(column, justify="left" if column in ("model", "verdict") else "right")
        for row in rows:
            table.add_row(
                str(row["model"]),
                f"{row['latency_ms']:.4f}",
                f"{row['low_ms']:.4f}–{row['high_ms']:.4f}",
                f"{row['median_ms']:.4f}",
                f"{row['cold_ms']:.3f}",
                f"{row['build_ms']:.1f}",
                str(row["verdict"]),
            )
        output.print(table)
    if failures:
        raise RuntimeFailure(f"{len(failures)} of {len(payloads)} models were not measured")
    if any(row["verdict"] == "unstable" for row in rows):
        raise PromiseError("a measurement is unstable: the machine was never quiet; measure again")
