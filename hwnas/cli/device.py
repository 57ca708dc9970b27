"""``hwnas device``: the devices that are known, what is installed, a new one, a check."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from hwnas.cli.common import Json, note, output, plain, print_json, target_of
from hwnas.errors import HwnasError, ProfileError, PromiseError, RequestError, UnknownNameError

if TYPE_CHECKING:
    from hwnas.profiles import DeviceProfile, Records

app = typer.Typer(no_args_is_help=True, help="Devices: list, show, new, check, merge.")
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
    from hwnas.runtimes import runtime, why_not

    profile = DeviceProfile.open(name)
    device = profile.device
    try:
        why = why_not(runtime(device.runtime), device.told)
    except HwnasError as error:
        why = str(error)
    records = profile.read()
    age = profile.age_days(records)
    return {
        "name": name,
        "runtime": device.runtime,
        "transport": device.transport,
        "threads": device.threads,
        "precision": device.precision,
        "available": why is None,
        "why": why,
        "profile": None if age is None else _held(profile, records, age),
    }


def _held(profile: "DeviceProfile", records: "Records", age_days: float) -> dict[str, Any]:
    """What a profile holds."""
    from hwnas.profiles.conditions import LABELS, distinct, mixed

    measured = records.measurements()
    networks = [item.latency_ms for key, item in measured.items() if key.startswith("network:")]
    verdicts = Counter(item.verdict for item in measured.values())
    times = records.times()
    return {
        "measurements": len(measured),
        "networks_ms": latency_range(networks),
        "fitted": profile.predictor_path.exists(),
        "age_days": round(age_days, 2),
        "fit_needed": profile.fit_needed(records),
        "parts": {
            "stable": verdicts["stable"],
            "unstable": verdicts["unstable"],
            "failed": len(records.failed()),
        },
        "observations": len(records.observations),
        "sessions": len(records.sessions),
        "first_at": times[0] if times else None,
        "last_at": times[-1] if times else None,
        "conditions": {name: distinct(records.sessions, name) for name in LABELS},
        "mixed": mixed(records.sessions),
    }


def _known(name: str) -> dict[str, Any]:
    """As :func:`describe`; a device with broken files says so instead of hiding the others."""
    try:
        return describe(name)
    except ProfileError as error:
        return {
            "name": name,
            "runtime": None,
            "transport": None,
            "threads": None,
            "precision": None,
            "available": False,
            "why": str(error),
            "profile": None,
        }


def _show(devices: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("device", "runtime", "transport", "threads", "available", "measured", "fitted"):
        table.add_column(column)
    for item in devices:
        held = item["profile"] or {"measurements": 0, "fitted": False, "fit_needed": True}
        table.add_row(
            plain(item["name"]),
            plain(item["runtime"] or "?"),
            plain(item["transport"] or "?"),
            str(item["threads"] or "?"),
            plain(item["why"] or "yes"),
            str(held["measurements"]),
            ("out of date" if held["fit_needed"] else "yes") if held["fitted"] else "no",
        )
    output.print(table)


def _show_profile(name: str, held: dict[str, Any]) -> None:
    """What a profile holds, in a few lines for people."""
    values = {
        key: " and ".join(str(value) for value in found) or "unknown"
        for key, found in held["conditions"].items()
    }
    lines = {
        "machine": f"{values['cpu']}, cores: {values['cores']}",
        "runtime": f"{values['runtime']} {values['version']}, threads: {values['threads']}",
        "sessions": f"{held['sessions']}, {_when(held['first_at'])} to {_when(held['last_at'])}",
        "parts": ", ".join(f"{count} {verdict}" for verdict, count in held["parts"].items()),
    }
    if values["gpu"] != "unknown":
        lines["gpu"] = (
            f"{values['gpu']}, driver {values['gpu_driver']}, CUDA {values['cuda']}, "
            f"cuDNN {values['cudnn']}; {values['provider']}, {values['precision']}"
        )
    if held["fit_needed"]:
        lines["predictor"] = (
            "fitted on other measurements than these" if held["fitted"] else "not fitted"
        ) + f": run 'hwnas fit {name}'"
    output.print()
    for label, text in lines.items():
        output.print(f"{label:<10} {text}", markup=False, soft_wrap=True)
    for text in held["mixed"]:
        output.print(f"sessions differ in {text}", markup=False, soft_wrap=True)


def _when(at: str | None) -> str:
    return "unknown" if at is None else at.replace("T", " ")


@app.command("list")
def list_devices(as_json: Json = False) -> None:
    """All devices that are known here."""
    from hwnas.profiles import DeviceProfile

    devices = [_known(name) for name in DeviceProfile.names()]
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
        return
    _show(devices)
    if devices[0]["profile"] is not None:
        _show_profile(name, devices[0]["profile"])


@app.command("merge")
def merge(
    name: Name,
    other: Annotated[str, typer.Argument(help="Name of a device, or path of a profile folder.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Merge although runtime version or CPU are not the same."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Add what another profile of the same device holds."""
    from hwnas.profiles import DeviceProfile

    held = DeviceProfile.open(name, on_wait=note)
    known = DeviceProfile.names()
    if other in known:
        source = DeviceProfile.open(other)
    elif Path(other).is_dir():
        source = DeviceProfile.at(Path(other))
    else:
        raise UnknownNameError("device", other, known, "Or give the path of a profile folder.")
    merged = held.merge(source, force=force)
    for text in merged.warnings:
        note(f"warning: {text}")
    described = describe(name)
    if as_json:
        print_json(
            {
                "device": name,
                "added": {
                    "observations": merged.observations,
                    "sessions": merged.sessions,
                    "definitions": merged.definitions,
                },
                "warnings": list(merged.warnings),
                "devices": [described],
            }
        )
    elif not merged.anything:
        note(f"'{other}' holds nothing that '{name}' does not; nothing was added")
    else:
        note(
            f"added {merged.observations} observations of {merged.sessions} new sessions and "
            f"{merged.definitions} definitions to '{name}'; run 'hwnas fit {name}' to use them"
        )


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

    cores = os.cpu_count() or threads
    if transport == "local" and threads > cores:
        raise RequestError(f"threads must be at most the {cores} cores here, received {threads}")
    options = {"provider": provider} if provider else {}
    made = Device(name, runtime_name, transport, threads, precision, options)
    target(runtime(runtime_name), transport, threads, made.told)
    profile = DeviceProfile.create(made)
    if as_json:
        print_json({"devices": [describe(name)]})
    else:
        note(f"made device '{name}' in '{profile.folder}'")


@app.command("check")
def check(name: Name, as_json: Json = False) -> None:
    """Run one small model on a device and say what is missing."""
    from hwnas.export.parts_onnx import canary_model
    from hwnas.profiles import DeviceProfile

    found = describe(name)
    held = DeviceProfile.open(name)
    if found["available"]:
        try:
            with target_of(held).open() as worker:
                worker.load("check", canary_model(), timeout_s=60)
        except HwnasError as error:
            found |= {"available": False, "why": str(error)}
    if as_json:
        print_json({"devices": [found]})
    if not found["available"]:
        raise PromiseError(f"device '{name}' does not work: {found['why']}")
    if not as_json:
        note(f"device '{name}' works: it ran a small model on {held.device.runtime}")
