"""``hwnas predict``: the price of ONNX files, without running them."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import (
    DeviceName,
    Json,
    fitted_predictor,
    note,
    output,
    plain,
    print_json,
)


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
    from hwnas.profiles import DeviceProfile

    protos = open_models(models, input_shape or [])
    held = DeviceProfile.open(device)
    predictor = fitted_predictor(held)
    priced: dict[str, dict[str, Any]] = {}
    for path, proto in protos.items():
        lowered = lower(proto, fusion_rules(held.fusion()), name=path)
        found = predictor.predict_bag(lowered.kernels, sum(lowered.not_covered.values()), level)
        priced[path] = {
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
    effective = min(level, predictor.highest_level)
    if effective < level:
        note(
            f"warning: the networks that were measured tell intervals up to {_pct(effective)}, "
            f"which are given in place of {_pct(level)}; profile more networks for a higher level"
        )
    for row in priced.values():
        if row["not_covered"]:
            note(
                f"warning: '{row['model']}' has operators without a price "
                f"({_counted(row['not_covered'])}): its latency has no upper end"
            )
    # A file that is named twice has two rows.
    rows = [priced[str(path)] for path in models]
    if as_json:
        print_json(
            {"device": device, "level": effective, "level_asked": level, "predictions": rows}
        )
        return
    output.print(_model_table(rows, effective))
    for row in priced.values():
        if row["not_covered"]:
            output.print(
                f"not covered in {row['model']}: {_counted(row['not_covered'])}",
                markup=False,
                soft_wrap=True,
            )
    if per_kernel:
        for row in priced.values():
            output.print()
            output.print(_kernel_table(row))


def _pct(level: float) -> str:
    """A level in per cent, never above what it is."""
    return f"{math.floor(1e4 * level + 1e-6) / 100:g} %"


def _counted(operators: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}×" for name, count in sorted(operators.items()))


def _model_table(rows: list[dict[str, Any]], level: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("model", "latency ms", f"{_pct(level)} interval", "covered"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        least = "≥ " if row["not_covered"] else ""
        bounded = math.isfinite(row["high_ms"])
        table.add_row(
            plain(row["model"]),
            f"{least}{row['latency_ms']:.4f}",
            f"{row['low_ms']:.4f}–{row['high_ms']:.4f}" if bounded else f"≥ {row['low_ms']:.4f}",
            f"{100 * row['covered']:.0f} %",
        )
    return table


def _kernel_table(row: dict[str, Any]) -> Table:
    """What a network is made of, dearest first, then what has no price."""
    from hwnas.kernels import Kernel

    table = Table(title=plain(row["model"]), title_justify="left", box=None, pad_edge=False)
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
            plain(kernel.title),
            *(
                " ".join("×".join(map(str, s)) for s in shapes)
                for shapes in (kernel.inputs, kernel.outputs)
            ),
        )
    for name, count in sorted(row["not_covered"].items()):
        table.add_row("–", "–", f"{count}×", "none", plain(name), "", "")
    return table
