"""Peak memory of one step of the gradient strategies, beside a training step of one network.

.venv/bin/python tools/bench/search_memory.py > docs/figures/search_memory.json

Each step runs in a process of its own, REPEATS times. A process builds what the step needs, loads
the images, takes two steps at batch 2 (so that libraries, kernels and the optimiser's momenta are
in memory), and then one step at the full batch. What counts is by how much the resident memory at
its highest (VmHWM, which starts anew before the step) exceeds the resident memory before the step:
activations, gradients, and the workspaces that kernels take. malloc is told to map large blocks,
so that what is freed is given back and cannot hide in its arenas. torch's profiler sees tensors
only, not oneDNN's workspaces, so the resident memory is what is trusted.

A step is the weights' and then the probabilities', so that the larger of the two counts. Paths are
the worst case: the largest network for the weights and for the gates, every gene compared with
another value. ``over_single`` divides by the training step of the largest network on its own at
the same batch.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np

CASES = {"micro": 512, "mobilenet-32": 32}
"""Batches at which activations dominate, as far as all blocks at once fit in memory."""

STEPS = ("single", "gradient", "gdas", "darts", "darts2")
REPEATS = 2
GOAL = 1.25


def resident_bytes(field: str) -> int:
    """A field of this process's status, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise KeyError(field)


def grown_bytes(step) -> int:
    """By how much the peak during a step exceeds what was resident before it."""
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_bytes("VmRSS")
    step()
    return resident_bytes("VmHWM") - before


def outputs(own, genes) -> int:
    """Numbers that the layers of a network give per image, which training keeps."""
    blocks = (own.slot_block(slot, [genes[c] for c in slot.choices]) for slot in own.slots)
    return sum(
        int(np.prod(shape))
        for block in blocks
        if block is not None
        for shape in block.graph.shapes.values()
    )


def largest(own) -> tuple[int, ...]:
    """The genotype with the most outputs; each step of the climb changes one choice."""
    best = own.check([n - 1 for n in own.cardinalities])
    while True:
        better = max(own.neighbours(best), key=lambda genes: outputs(own, genes))
        if outputs(own, better) <= outputs(own, best):
            return best
        best = better


def child(name: str, kind: str, batch: int) -> None:
    """One measurement, printed as JSON."""
    import torch

    from hwnas.estimators import MixtureTrainer
    from hwnas.nets import Network, shape_genes
    from hwnas.nets.parameters import channels_last
    from hwnas.spaces import space
    from hwnas.training.images import ImageData, Split

    torch.set_num_threads(1)
    own = space(name)
    path = largest(own)
    channels, side, _ = own.input_shape(path)
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = rng.normal(size=(count, channels, side, side)).astype(np.float32)
        return Split(images, np.arange(count, dtype=np.int64) % own.classes)

    classes = tuple(map(str, range(own.classes)))
    data = ImageData("noise", own.classes, classes, split(2 * batch), split(2), split(2))
    if kind == "single":
        network = Network(own.decode(path), seed=0).train()
        layout = channels_last(network)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        images = data.tensor("train", (side, side), channels)
        labels = data.labels("train")

        def step(size: int) -> None:
            given = images[:size].contiguous(memory_format=layout)
            loss = torch.nn.functional.cross_entropy(network(given), labels[:size])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
    else:
        model = MixtureTrainer(own, data, total_steps=100, batch_size=batch)
        data.tensor("train", (side, side), channels)
        shares = [np.full(n, 1 / n) for n in own.cardinalities]
        hard = [np.eye(n)[value] for n, value in zip(own.cardinalities, path, strict=True)]
        others = {
            gene: 0 if path[gene] else int(n) - 1
            for gene, n in enumerate(own.cardinalities)
            if gene not in shape_genes(own) and n > 1
        }

        def step(size: int) -> None:
            model.batch_size = size
            if kind == "gradient":
                model.weight_step(path)
                model.gate_step(path, others)
            elif kind == "gdas":
                model.weight_step(path)
                model.mixed_gate_step(path, hard)
            elif kind == "darts":
                model.mixed_weight_step(path, shares)
                model.mixed_gate_step(path, shares)
            else:
                model.mixed_weight_step(path, shares)
                model.unrolled_gate_step(path, shares)

    for _ in range(2):
        step(2)
    print(json.dumps({"bytes": grown_bytes(lambda: step(batch))}))


def measured(name: str, kind: str, batch: int) -> list[int]:
    """Peaks of fresh processes, MiB."""
    found = []
    for _ in range(REPEATS):
        done = subprocess.run(
            [sys.executable, __file__, name, kind, str(batch)],
            env={
                **os.environ,
                "MALLOC_MMAP_THRESHOLD_": "65536",
                "MALLOC_TRIM_THRESHOLD_": "65536",
                "MALLOC_ARENA_MAX": "1",
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(round(json.loads(done.stdout)["bytes"] / 2**20))
        print(f"{name} {kind}: {found[-1]} MiB", file=sys.stderr)
    return found


def summary(peaks: dict[str, list[int]], batch: int) -> dict:
    """The figures of one space, from the peaks of each kind of step, MiB."""
    single = median(peaks["single"])
    return {
        "batch": batch,
        "steps": {
            kind: {"peaks_mib": own, "over_single": round(median(own) / single, 3)}
            for kind, own in peaks.items()
        },
        "goal_met": median(peaks["gradient"]) <= GOAL * single,
    }


def document(spaces: dict[str, dict]) -> dict:
    """What is printed."""
    return {
        "measured": "peak resident memory of one step over the resident memory before it, MiB, "
        "each in a fresh process, 1 thread",
        "goal": f"gradient (ProxylessNAS) at most {GOAL} x single, the largest network alone",
        "spaces": spaces,
    }


def main() -> None:
    spaces = {
        name: summary({kind: measured(name, kind, batch) for kind in STEPS}, batch)
        for name, batch in CASES.items()
    }
    print(json.dumps(document(spaces), indent=1))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
