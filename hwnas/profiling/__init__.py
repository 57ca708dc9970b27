"""Profiling: the measuring protocol, its statistics, what to measure, the session."""

from hwnas.profiling.protocol import Batch, Protocol
from hwnas.profiling.session import ProfilingSession, Progress
from hwnas.profiling.turns import Shares
from hwnas.profiling.visit import measure

__all__ = ["Batch", "ProfilingSession", "Progress", "Protocol", "Shares", "measure"]
