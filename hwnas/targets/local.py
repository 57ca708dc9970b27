"""Targets: a runtime on a transport. This one is the machine itself."""

import sys
from dataclasses import dataclass
from typing import Protocol

from hwnas.errors import MissingExtraError, UnknownNameError
from hwnas.runtimes import Runtime
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
    """

    runtime: Runtime
    threads: int = 1

    def open(self) -> Worker:
        """A fresh worker process.

        Raises:
            MissingExtraError: The runtime is not installed.
            RuntimeFailure: The process does not start.
        """
        reason = self.runtime.why_not()
        if reason is not None:
            raise MissingExtraError(reason)
        return Worker([sys.executable, "-I", str(AGENT), str(self.runtime.engine)], self.threads)


TRANSPORTS = {"local": LocalTarget}


def target(runtime: Runtime, transport: str, threads: int) -> Target:
    """The target for a runtime on a transport.

    Raises:
        UnknownNameError: The transport does not exist.
    """
    if transport not in TRANSPORTS:
        raise UnknownNameError("transport", transport, TRANSPORTS)
    return TRANSPORTS[transport](runtime, threads)
