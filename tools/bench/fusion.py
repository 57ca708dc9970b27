"""How far the fusion rules agree with the graphs that ONNX Runtime writes.

python tools/bench/fusion.py
"""

import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from small_models import SMALL_MODELS

from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import FUSION, fusion_name, lower
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.targets.agent import conditions

SPACES = (
    "mobilenet-32",
    "resnet-32",
    "mobilenet:image_size=96",
    "resnet:image_size=96",
    "micro",
    "mobilenetv1-32",
    "shufflenet-32",
    "efficientnet-32",
    "vit-32",
    "nasbench201",
)
SAMPLES = 5
REPEATS = 3


def models() -> Iterator[tuple[str, str, onnx.ModelProto]]:
    """Group, name and model."""
    for path in sorted((Path(onnx.__path__[0]) / "backend/test/data/light").glob("*.onnx")):
        yield "onnx wheel", path.stem, onnx.load(path)
    for name in SPACES:
        found = space(name)
        rows = found.sample(np.random.default_rng(1), SAMPLES, over="choices")
        for position, row in enumerate(rows):
            yield "spaces", f"{name} {position}", architecture_to_onnx(found.decode(row))
    for name, make in SMALL_MODELS.items():
        yield "small models", name, make()


def compared(name: str, model: onnx.ModelProto) -> dict[str, object]:
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        lowered = lower(
            model, FUSION[fusion_name("onnxruntime", conditions()["features"])], name=name
        )
        seconds.append(time.perf_counter() - begin)
    own: Counter[str] = Counter()
    for kernel, count in lowered.kernels.items():
        own["+".join((kernel.op, *kernel.fused))] += count
    theirs = runtime("onnxruntime").fused_graph(model.SerializeToString())
    return {
        "file_nodes": len(model.graph.node),
        "nodes": max(own.total(), theirs.total()),
        "agree": (own & theirs).total(),
        "ours_only": dict(own - theirs),
        "theirs_only": dict(theirs - own),
        "not_covered": dict(lowered.not_covered),
        "lower_ms": round(1e3 * statistics.median(seconds), 2),
    }


def main() -> None:
    groups: dict[str, dict[str, dict[str, object]]] = {}
    nodes: Counter[str] = Counter()
    agree: Counter[str] = Counter()
    for group, name, model in models():
        row = compared(name, model)
        groups.setdefault(group, {})[name] = row
        for key in (group, "all"):
            nodes[key] += int(str(row["nodes"]))
            agree[key] += int(str(row["agree"]))
    print(
        json.dumps(
            {
                "runtime": f"onnxruntime {runtime('onnxruntime').version()}",
                "onnx": onnx.__version__,
                "python": platform.python_version(),
                "agreement": {
                    key: {
                        "nodes": nodes[key],
                        "agree": agree[key],
                        "share": round(agree[key] / nodes[key], 4),
                    }
                    for key in nodes
                },
                "networks": groups,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
