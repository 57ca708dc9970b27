"""The whole GPU job of ``tools/profile_gpu``: devices, profiles, fits, one JSON report.

For each mode (a provider of the runtime torch) there is a device named after the GPU and
the mode, with a profile in a folder of ``--out`` that can be committed. Each space is
measured into it within its own budget, then the predictor is fitted and judged on the
networks that were left out, all together and by space. Every finished space is written
to ``--report`` at once; a further run skips it, and takes up one that was cut off.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]


def add_wheels(folder: str | None) -> None:
    """Make the packages of a folder importable; wheels are unpacked into a temporary one."""
    if not folder:
        return
    path = Path(folder).resolve()
    wheels = sorted(path.glob("*.whl"))
    if not path.is_dir():
        refuse(f"HWNAS_WHEELS names '{folder}', which is no folder")
    if wheels:
        path = Path(tempfile.gettempdir()) / "hwnas-wheels" / "-".join(w.stem for w in wheels)[:120]
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(path)
    # Behind what is installed: they are for what this Python lacks.
    sys.path.append(str(path))


def refuse(text: str) -> NoReturn:
    """End with the exit code of a wrong request."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/profile_gpu", description=__doc__)
    parser.add_argument("--modes", default="cuda-graph,cuda", help="providers, with commas")
    parser.add_argument("--spaces", default="mobilenet,resnet", help="spaces, with commas")
    parser.add_argument(
        "--budget",
        default="mobilenet=160s,resnet=100s",
        help="time for each space and mode, such as 90s, or by space",
    )
    parser.add_argument(
        "--networks",
        default="mobilenet=28,resnet=16",
        help="networks for each space at most, or by space",
    )
    parser.add_argument("--precision", default="fp32", help="fp32, tf32 or fp16")
    parser.add_argument("--cudnn-benchmark", default="on", choices=("on", "off"))
    parser.add_argument("--runs", type=int, default=12, help="inferences of a visit, two dropped")
    parser.add_argument("--tolerance", type=float, default=0.05, help="of the canary, as a share")
    parser.add_argument("--out", default=str(ROOT / "device_profiles"), help="folder of profiles")
    parser.add_argument("--report", default="", help="JSON file; profile_gpu.json in --out else")
    parser.add_argument("--again", action="store_true", help="measure on what is finished, too")
    parser.add_argument("--probe", action="store_true", help="30 s: does it run, how noisy is it")
    parser.add_argument(
        "--rehearse", action="store_true", help="the same job on this CPU, in small"
    )
    given = parser.parse_args()
    if given.rehearse:
        given.modes, given.spaces, given.budget, given.networks = "cpu", "resnet-32", "60s", "12"
    return given


def slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


class Job:
    """One mode: a device, its profile, and what is measured into it."""

    def __init__(self, mode: str, given: argparse.Namespace) -> None:
        from hwnas.errors import RequestError
        from hwnas.profiles import Device, DeviceProfile
        from hwnas.runtimes import runtime
        from hwnas.targets import target

        self.given, self.mode = given, mode
        options = {"provider": mode}
        if given.cudnn_benchmark == "off" and mode != "cpu":
            options["cudnn_benchmark"] = "off"
        place = slug(self.gpu() or "cpu")
        suffix = "" if given.precision == "fp32" else f"-{given.precision}"
        suffix += "-heuristic" if "cudnn_benchmark" in options else ""
        self.name = f"{place}-torch-{mode}{suffix}"
        device = Device(self.name, runtime="torch", precision=given.precision, options=options)
        try:
            importlib.import_module("hwnas.runtimes.torch_engine").checked(device.told)
        except ValueError as error:
            raise RequestError(str(error)) from None
        self.target = target(runtime("torch"), "local", 1, device.told)
        if self.name in DeviceProfile.names():
            self.profile = DeviceProfile.open(self.name, on_wait=say)
        else:
            self.profile = DeviceProfile.create(device)

    def gpu(self) -> str | None:
        if self.mode == "cpu":
            return None
        import torch

        return torch.cuda.get_device_name(0)

    def measure(self, space_name: str, budget_s: float, networks: int) -> float:
        """Seconds that profiling a space took."""
        from hwnas.cli.profile import check_here
        from hwnas.profiling import ProfilingSession, Progress, Shares
        from hwnas.profiling.protocol import Protocol
        from hwnas.spaces import space

        check_here(self.profile, self.target)
        said = [0.0]

        def report(state: Progress) -> None:
            if time.monotonic() - said[0] > 10:
                said[0] = time.monotonic()
                say(f"{self.name} {space_name}: {state.text}")

        spent = ProfilingSession(
            self.profile,
            self.target,
            space(space_name),
            budget_s=budget_s,
            networks=networks,
            protocol=Protocol(
                runs=self.given.runs,
                tolerance=self.given.tolerance,
                timeout_s=300.0 if self.mode == "cuda-compile" else 60.0,
            ),
            shares=Shares(networks=0.5, batch_bytes=8 << 30, batch_parts=250),
            on_progress=report,
        ).run()
        self.profile.compact()
        return spent

    def fit(self) -> dict[str, Any]:
        """The accuracy on all networks that were left out, and by space."""
        from hwnas.cli.profile import fitted
        from hwnas.errors import ProfileError
        from hwnas.predictors import LatencyPredictor, evaluate
        from hwnas.profiling.bags import profiled_bags

        try:
            found = {"all": fitted(self.profile)}
        except ProfileError as error:
            return {"failed": str(error)}
        bags = profiled_bags(self.profile.read(), self.profile.device.runtime)
        predictor = LatencyPredictor.load(self.profile.predictor_path)
        for name in sorted({item.space for item in bags.networks}):
            own = [item for item in bags.networks if item.space == name]
            try:
                found[name] = evaluate(predictor, replace(bags, networks=own))
            except ProfileError as error:
                found[name] = {"failed": str(error)}
        return found

    def described(self) -> dict[str, Any]:
        """What the profile holds, with the conditions of the last session."""
        from hwnas.cli.device import describe

        records = self.profile.read()
        last = max(records.sessions, default=None)
        failures = sorted({i.failure for i in records.observations if i.failure is not None})
        return {
            **describe(self.name),
            "conditions": None if last is None else records.sessions[last],
            "failures": failures[:10],
        }


def probe(job: Job) -> dict[str, Any]:
    """Whether models run and agree with ONNX Runtime, and how their times scatter."""
    import numpy as np

    from hwnas.export.layers_onnx import architecture_to_onnx
    from hwnas.export.parts_onnx import call_part, canary_model
    from hwnas.runtimes import runtime
    from hwnas.spaces import space

    engine = importlib.import_module("hwnas.runtimes.torch_engine")
    options = job.profile.device.told
    models = {"call": call_part().model, "canary": canary_model()}
    for name in job.given.spaces.split(","):
        found = space(name)
        (genes,) = found.sample(np.random.default_rng(0), 1)
        models[name] = architecture_to_onnx(found.decode(genes)).SerializeToString()
    out: dict[str, Any] = {"conditions": engine.conditions(options)}
    for name, model in models.items():
        session = engine.Session(model, 1, None, options)
        first = session.time(1)[0]
        bursts = np.array([session.time(job.given.runs) for _ in range(60)]) / 1e3
        least = bursts[:, 2:].min(1)
        shares = {
            f"{p}_pct": float((least <= least.min() * (1 + p / 100)).mean()) for p in (1, 3, 5, 10)
        }
        rng = np.random.default_rng(1)
        (item,) = engine.onnx.load_model_from_string(model).graph.input
        shape = [size.dim_value for size in item.type.tensor_type.shape.dim]
        feeds = {item.name: rng.standard_normal(shape, np.float32)}
        expected = runtime("onnxruntime").run(model, feeds)["output"]
        actual = session.run(feeds)["output"]
        out[name] = {
            "build_ms": session.build_ns / 1e6,
            "first_us": first / 1e3,
            "burst_mean_us": [round(float(v), 2) for v in bursts.mean(0)],
            "least_of_burst_us": np.quantile(least, (0, 0.1, 0.5, 0.9, 1)).round(2).tolist(),
            "bursts_within": shares,
            "relative_error": float(np.abs(actual - expected).max() / np.abs(expected).max()),
        }
        if job.mode != "cpu":
            events = np.array(session.time_events(40)) / 1e3
            out[name]["events_us"] = np.quantile(events, (0, 0.5, 0.9)).round(2).tolist()
    return out


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def of_space(option: str, space: str, text: str) -> str:
    """What an option, one value or one by space, says for a space."""
    if "=" not in text:
        return text
    by_space = dict(item.split("=", 1) for item in text.split(","))
    for name in (space, space.partition(":")[0]):
        if name in by_space:
            return by_space[name]
    refuse(f"{option} names {', '.join(by_space)}, not '{space}'; add {space}=…")


def run(given: argparse.Namespace) -> dict[str, Any]:
    """The report of the job."""
    from hwnas.cli.common import seconds

    path = Path(given.report or Path(given.out) / "profile_gpu.json")
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for mode in given.modes.split(","):
        job = Job(mode, given)
        own = report.setdefault(job.name, {"mode": mode, "spaces": {}})
        if given.probe:
            own["probe"] = probe(job)
            save(report, path)
            continue
        for name in given.spaces.split(","):
            if name in own["spaces"] and not given.again:
                say(f"{job.name} {name}: finished before; --again goes on with it")
                continue
            spent = job.measure(
                name,
                seconds(of_space("--budget", name, given.budget)),
                int(of_space("--networks", name, given.networks)),
            )
            own["spaces"][name] = {"seconds": round(spent, 1), "at": now()}
            save(report, path)
        own["accuracy"] = job.fit()
        own["device"] = job.described()
        save(report, path)
    return report


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def save(report: dict[str, Any], path: Path) -> None:
    from hwnas.cli.common import finite
    from hwnas.files import make_folder, write_text

    make_folder(path.parent)
    write_text(path, json.dumps(finite(report), indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    given = arguments()
    add_wheels(os.environ.get("HWNAS_WHEELS"))
    os.environ["HWNAS_PROFILES"] = str(given.out)
    modes = given.modes.split(",")
    try:
        import torch

        importlib.import_module("xgboost")
    except ImportError as error:
        refuse(f"{error}; put its wheel into a folder and name it in HWNAS_WHEELS")
    if any(mode != "cpu" for mode in modes) and not torch.cuda.is_available():
        refuse(
            f"the modes {given.modes} need a CUDA GPU, and torch {torch.__version__} sees none; "
            "run this on a machine that has one, or give --rehearse"
        )
    from hwnas.errors import HwnasError

    try:
        report = run(given)
    except HwnasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
