"""Targets: where a runtime runs, and the agent that measures there."""

from hwnas.targets.local import TRANSPORTS, LocalTarget, Target, target
from hwnas.targets.worker import Burst, Loaded, Worker

__all__ = ["TRANSPORTS", "Burst", "Loaded", "LocalTarget", "Target", "Worker", "target"]
