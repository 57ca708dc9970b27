"""``hwnas predict``: the price of ONNX files, without running them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import DeviceName, Json, output, print_json


def predict(
    models: Annotated[list[Path], typer.Argument(help="ONNX files.")],
    device: DeviceName,
    input_shape: Annotated[
        list[str] | None, typer.Option("--input-shape", help="NAME:1,3,224,224 for dynamic inputs.")
    ] = None,
    per_kernel: Annotated[bool, typer.Option("--per-kernel", help="Show every kernel.")] = False,
    level: Annotated[
        float, typer.Option("--level", min=0.01, max=0.999, help="Level of the interval.")
    ] = 0.9,
    as_json: Json = False,
) -> None:
    """Predict the latency of ONNX files on a profiled device."""
    from hwnas.cli.models import open_models
    from hwnas.export.bags import fusion_rules
    from hwnas.kernels import lower
    from hwnas.predictors import LatencyPredictor
    from hwnas.profiles import DeviceProfile

    protos = open_models(models, input_shape or [])
    held = DeviceProfile.open(device)
    predictor = LatencyPredictor.load(held.predictor_path)
    rows: list[dict[str, Any]] = []
    for path, proto in protos.items():
        lowered = lower(proto, fusion_rules(held.fusion()), name=path)
        not_covered = sum(lowered.not_covered.values())
        found = predictor.predict_bag(lowered.kernels, not_covered, level)
        rows.append(
            {
                "model": path,
                "latency_ms": found.latency_ms,
                "low_ms": found.low_ms,
                "high_ms": found.high_ms,
                "covered": round(found.covered, 4),
                "kernels": [
                    {"key": k.kernel.key, "count": k.count, "ms": k.ms, "source": k.source}
                    for k in found.kernels
                ],
                "not_covered": dict(lowered.not_covered),
            }
        )
    if as_json:
        print_json({"device": device, "level": level, "predictions": rows})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("model", "latency ms", f"{100 * level:g} % interval", "covered"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        table.add_row(
            row["model"],
            f"{row['latency_ms']:.4f}",
            f"{row['low_ms']:.4f}–{row['high_ms']:.4f}",
            f"{100 * row['covered']:.0f} %",
        )
    output.print(table)
    if per_kernel:
        for row in rows:
            output.print()
            output.print(_kernel_table(row))


def _kernel_table(row: dict[str, Any]) -> Table:
    """What a network is made of, dearest first."""
    from hwnas.kernels import Kernel

    table = Table(title=row["model"], title_justify="left", box=None, pad_edge=False)
    for column in ("ms", "share", "count", "priced by", "kernel", "input", "output"):
        left = column in ("priced by", "kernel", "input", "output")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    for item in row["kernels"]:
        kernel = Kernel.from_key(item["key"])
        table.add_row(
            f"{item['ms']:.4f}",
            f"{100 * item['ms'] / row['latency_ms']:.1f} %",
            f"{item['count']}×",
            item["source"],
            kernel.title,
            *(
                " ".join("×".join(map(str, s)) for s in shapes)
                for shapes in (kernel.inputs, kernel.outputs)
            ),
        )
    return table
