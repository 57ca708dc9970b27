"""The simulated device inside this process: the agent and the engine as they ship."""

import importlib.util
import json
import os
import random
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

from hwnas.profiling.protocol import CANARY
from hwnas.runtimes import runtime
from hwnas.targets import Burst, Worker, agent

PAUSE_S = 0.1
"""Most that passes between rounds, in which a profiling visit measures its other models."""


def engine(config: Mapping[str, Any]) -> ModuleType:
    """The simulated engine as a new worker loads it."""
    os.environ["HWNAS_SIMULATED"] = json.dumps(config)
    spec = importlib.util.spec_from_file_location("fresh_engine", runtime("simulated").engine)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Direct(Worker):
    """A worker whose agent is in this process.

    ``best`` is the least slowness at which the canary ran; ``rounds`` what each saw.
    """

    def __init__(self, device: ModuleType, folder: str, seed: int) -> None:
        self._agent = agent.Agent(device, agent.Status(f"{folder}/status"))
        self._device = device
        self._threads, self._count = 1, 0
        self.inference_s = self.waited_s = 0.0
        # A stand-in with the one thing of a temporary folder that loading a model asks for.
        self._folder = SimpleNamespace(name=folder)
        self.best = float("inf")
        self.rounds: list[list[Burst]] = []
        self._random = random.Random(seed)
        self._run, self._slowness = self._agent.run, device._device.slowness
        self._key = ""
        # Wrapped, to know which model a reading is of.
        self._agent.run = self._named
        device._device.slowness = self._watched

    def _named(self, key: str, runs: int) -> list[int]:
        self._key = key
        return self._run(key, runs)

    def _watched(self) -> float:
        slowness: float = self._slowness()
        if self._key == CANARY:
            self.best = min(self.best, slowness)
        return slowness

    def pass_time(self, seconds: float) -> None:
        """Let time pass on the device, as while other models run."""
        self._device._device.now_ns += 1e9 * seconds

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self._agent, request["do"])(request)
        return answer

    def round(self, *arguments: Any, **settings: Any) -> list[Burst]:
        """As a worker's; what it saw is remembered."""
        self.pass_time(self._random.uniform(0, PAUSE_S))
        self.rounds.append(super().round(*arguments, **settings))
        return self.rounds[-1]

    def true_ms(self, key: str) -> float:
        """The noiseless time in this process."""
        return float(self._agent.sessions[key]._true_ns) / 1e6
