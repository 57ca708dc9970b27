"""What is killed: a profiling session, and after it a measurement of models, in a child."""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from typing import Any

from hwnas.export.bags import SpaceBags
from hwnas.export.parts_onnx import canary_model
from hwnas.profiles import DeviceProfile
from hwnas.profiling import ProfilingSession, Progress
from hwnas.profiling.models import measure_models
from hwnas.profiling.plan import PartPlan, plan_networks
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.turns import NETWORKS, PARTS
from hwnas.runtimes import Runtime, runtime
from hwnas.spaces import space
from hwnas.targets import LocalTarget, Worker

SPACE = "resnet-32"
NETWORK_COUNT = 6
# A budget that never ends a session: what is measured must not depend on the real time.
BUDGET_S = 1e6
TIMEOUT_S = 3.0
MODES: dict[str, dict[str, Any]] = {"lost": {}, "models": {}, "set_aside": {"bursts_per_s": 0}}
AGREEMENT = {"set_aside": 0.001}
LETTERS = {NETWORKS: b"n", PARTS: b"p", "models": b"m"}


@dataclass(frozen=True)
class Job:
    """What is done: the device's faults, the protocol, the models measured at the end.

    ``round_s`` is how long a round takes besides: simulated ones take no time.
    """

    faults: dict[str, str]
    protocol: Protocol
    round_s: float
    models: dict[str, bytes]


def job(mode: str) -> Job:
    """Models that crash and hang among networks, parts and whole models."""
    bags = SpaceBags(space(SPACE), "simulated")
    plan = PartPlan(bags, 0)
    networks = plan_networks(bags.space, NETWORK_COUNT, 0, bags)
    parts = [part for key in plan.ordered(set()) if (part := plan.part(key)) is not None]
    whole = {
        item.key: item.part().model
        for item in plan_networks(bags.space, NETWORK_COUNT + 4, 0, bags)[NETWORK_COUNT:]
    }
    names = list(whole)

    def file(model: bytes) -> str:
        return "sha256:" + hashlib.sha256(model).hexdigest()[:16]

    faults = {
        # At the first run, made while loading; in the third round; in the second.
        file(networks[1].part().model): "crash",
        file(networks[4].part().model): "hang@17",
        file(parts[10].model): "abort@10",
        file(parts[150].model): "crash",
        file(parts[250].model): "hang@10",
        file(parts[350].model): "nan",
        file(whole[names[0]]): "crash@20",
        file(whole[names[1]]): "hang@24",
    }
    if mode == "set_aside":
        # Most kills would fall on what hangs, in which nothing is finished.
        faults = {selector: fault.replace("hang", "abort") for selector, fault in faults.items()}
    protocol = Protocol(
        least_rounds=3, timeout_s=TIMEOUT_S, agreement=AGREEMENT.get(mode, Protocol().agreement)
    )
    round_s = 0.05 if mode == "set_aside" else 0.0
    return Job(faults, protocol, round_s, {**whole, "canary": canary_model()})


@dataclass(frozen=True)
class CountingTarget:
    """The simulated device; each worker that starts is told to a pipe."""

    pipe: int
    runtime: Runtime

    def open(self) -> Worker:
        """A fresh worker process."""
        os.write(self.pipe, b".")
        return LocalTarget(self.runtime).open()


def work(name: str, pipe: int, doing: Job) -> None:
    """A session, then a measurement of models, whose results are written into the profile."""

    def told(progress: Progress) -> None:
        os.write(pipe, LETTERS[progress.phase])
        if progress.standing.rounds:
            time.sleep(doing.round_s)

    profile, target = DeviceProfile.open(name), CountingTarget(pipe, runtime("simulated"))
    ProfilingSession(
        profile,
        target,
        space(SPACE),
        budget_s=BUDGET_S,
        networks=NETWORK_COUNT,
        protocol=doing.protocol,
        on_progress=told,
    ).run()
    os.write(pipe, LETTERS["models"])
    found, failures, _ = measure_models(
        profile, target, doing.models, budget_s=BUDGET_S, timeout_s=TIMEOUT_S
    )
    text = json.dumps([{key: repr(item) for key, item in found.items()}, failures], sort_keys=True)
    (profile.folder / "models.json").write_text(text)


def start(name: str, doing: Job) -> tuple[int, int]:
    """Begin or resume the work on a device in a child; its process, and the pipe's end."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    status = 1
    try:
        os.close(reading)
        work(name, writing, doing)
        status = 0
    finally:
        os._exit(status)
