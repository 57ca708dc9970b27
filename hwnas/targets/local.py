"""Targets: a runtime on a transport. This one is the machine itself."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hwnas.errors import MissingExtraError, UnknownNameError
from hwnas.runtimes import Runtime, refuse_unknown, why_not
from hwnas.targets.worker import AGENT, Worker


class Target(Protocol):
    """Where a runtime runs: it opens worker processes that measure."""

    @property
    def runtime(self) -> Runtime:
        """The runtime that it runs."""
        ...

    def open(self) -> Worker:
        """A fresh worker process."""
        ...


@dataclass(frozen=True)
class LocalTarget:
    """A runtime on this machine, one worker process at a time.

    Args:
        runtime: The runtime.
        threads: Threads of one inference.
        options: What the runtime is told about how to run, such as ``provider``.
    """

    runtime: Runtime
    threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Worker:
        """A fresh worker process.

        Raises:
            MissingExtraError: The runtime, or what its options ask for, is not there.
            RuntimeFailure: The process does not start.
        """
        reason = why_not(self.runtime, self.options)
        if reason is not None:
            raise MissingExtraError(reason)
        command = [sys.executable, "-I", str(AGENT), str(self.runtime.engine)]
        return Worker(command, self.threads, self.options)


TRANSPORTS = {"local": LocalTarget}

DEFAULTS = {"provider": "cpu", "precision": "fp32"}
"""What a runtime does without being told."""


def _told(options: Mapping[str, str]) -> dict[str, str]:
    """The options that say something: an engine of no options must still be usable."""
    return {name: value for name, value in options.items() if DEFAULTS.get(name) != value}


def target(
    runtime: Runtime,
    transport: str,
    threads: int,
    options: Mapping[str, str] | None = None,
) -> Target:
    """The target for a runtime on a transport.

    Args:
        runtime: The runtime.
        transport: Name of the transport.
        threads: Threads of one inference.
        options: A device's options, ``provider`` and ``precision`` among them.

    Raises:
        UnknownNameError: The transport does not exist.
        RequestError: The runtime has no such provider or precision.
    """
    refuse_unknown(runtime, options or {})
    if transport not in TRANSPORTS:
        raise UnknownNameError("transport", transport, TRANSPORTS)
    return TRANSPORTS[transport](runtime, threads, _told(options or {}))
