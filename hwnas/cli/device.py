"""``hwnas device``: the devices that are known, what is installed, a new one, a check."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import Json, note, output, print_json
from hwnas.errors import HwnasError, PromiseError

app = typer.Typer(no_args_is_help=True, help="Devices: list, show, new, check.")
Name = Annotated[str, typer.Argument(help="Name of the device.")]


def latency_range(latencies_ms: Sequence[float]) -> dict[str, float] | None:
    """Least, middle and greatest of latencies, or ``None`` where there are none."""
    if not latencies_ms:
        return None
    ordered = sorted(latencies_ms)
    return {"min": ordered[0], "median": ordered[len(ordered) // 2], "max": ordered[-1]}


def describe(name: str) -> dict[str, Any]:
    """What is known of a device, as ``device list --json`` gives it."""
    from hwnas.profiles import DeviceProfile
    from hwnas.runtimes import runtime

    profile = DeviceProfile.open(name)
    device = profile.device
    try:
        why = runtime(device.runtime).why_not()
    except HwnasError as error:
        why = str(error)
    age = profile.age_days()
    measured = {} if age is None else profile.read().measurements()
    networks = [item.latency_ms for key, item in measured.items() if key.startswith("network:")]
    return {
        "name": name,
        "runtime": device.runtime,
        "transport": device.transport,
        "threads": device.threads,
        "precision": device.precision,
        "available": why is None,
        "why": why,
        "profile": None
        if age is None
        else {
            "measurements": len(measured),
            "networks_ms": latency_range(networks),
            "fitted": profile.predictor_path.exists(),
            "age_days": round(age, 2),
        },
    }


def _show(devices: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("device", "runtime", "transport", "threads", "available", "measured", "fitted"):
        table.add_column(column)
    for item in devices:
        held = item["profile"] or {"measurements": 0, "fitted": False}
        table.add_row(
            item["name"],
            item["runtime"],
            item["transport"],
            str(item["threads"]),
            item["why"] or "yes",
            str(held["measurements"]),
            "yes" if held["fitted"] else "no",
        )
    output.print(table)


@app.command("list")
def list_devices(as_json: Json = False) -> None:
    """All devices that are known here."""
    from hwnas.profiles import DeviceProfile

    devices = [describe(name) for name in DeviceProfile.names()]
    if as_json:
        print_json({"devices": devices})
    elif devices:
        _show(devices)
    else:
        note("no device is known yet; make one: hwnas device new NAME --runtime onnxruntime")


@app.command("show")
def show(name: Name, as_json: Json = False) -> None:
    """One device."""
    devices = [describe(name)]
    if as_json:
        print_json({"devices": devices})
    else:
        _show(devices)


@app.command("new")
def new(
    name: Name,
    runtime_name: Annotated[str, typer.Option("--runtime", help="Runtime.")] = "onnxruntime",
    transport: Annotated[str, typer.Option("--transport", help="How to reach it.")] = "local",
    threads: Annotated[int, typer.Option("--threads", help="Threads of one inference.")] = 1,
    precision: Annotated[str, typer.Option("--precision", help="Precision.")] = "fp32",
    provider: Annotated[str, typer.Option("--provider", help="Execution provider.")] = "",
    as_json: Json = False,
) -> None:
    """Make a device known."""
    from hwnas.profiles import Device, DeviceProfile
    from hwnas.runtimes import runtime
    from hwnas.targets import target

    target(runtime(runtime_name), transport, threads)
    options = {"provider": provider} if provider else {}
    profile = DeviceProfile.create(
        Device(name, runtime_name, transport, threads, precision, options)
    )
    if as_json:
        print_json({"devices": [describe(name)]})
    else:
        note(f"made device '{name}' in '{profile.folder}'")


@app.command("check")
def check(name: Name, as_json: Json = False) -> None:
    """Run one small model on a device and say what is missing."""
    from hwnas.export.parts_onnx import canary_model
    from hwnas.profiles import DeviceProfile
    from hwnas.runtimes import runtime
    from hwnas.targets import target

    found = describe(name)
    device = DeviceProfile.open(name).device
    if found["available"]:
        try:
            with target(runtime(device.runtime), device.transport, device.threads).open() as worker:
                worker.load("check", canary_model(), timeout_s=60)
        except HwnasError as error:
            found |= {"available": False, "why": str(error)}
    if as_json:
        print_json({"devices": [found]})
    if not found["available"]:
        raise PromiseError(f"device '{name}' does not work: {found['why']}")
    if not as_json:
        note(f"device '{name}' works: it ran a small model on {device.runtime}")
