"""What the whole networks of one worker process have in common.

Networks whose weights do not fit the core's cache are faster or slower by some per cent from
process to process, all of them together, while the small canary stands still: they share
a cache and a memory with whatever else runs on the host. Where each process holds another mixture
of networks, the factors of processes and the networks' own times can be told apart.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from statistics import median

import numpy as np

from hwnas.profiles.observation import Observation, is_quiet

LEAST = 4
"""Networks that others saw too which a process needs, so that its factor is known."""

LARGEST = 0.15
"""Logarithm of a factor above which a process is not like the others but disturbed."""

STEPS = 50


def session_factors(observations: Iterable[Observation], canary_ms: float) -> dict[str, float]:
    """The factor of each process by which its whole networks are slower than usual.

    Median polish (Tukey, 1977) of the logarithms by network and process. Processes that
    are joined by networks have a factor of 1 at their median, since nobody can
    know what the device would be like without any of them.

    Args:
        observations: Of a profile; those of other parts are passed by.
        canary_ms: The canary's quiet time.

    Returns:
        By session; those that are not known are left out.
    """
    logs: dict[str, dict[str, float]] = defaultdict(dict)
    for item in observations:
        if item.key.startswith("network:") and is_quiet(item, canary_ms):
            logs[item.session][item.key] = float(np.log(item.quiet_ms))
    factors: dict[str, float] = {}
    for group in _joined(logs):
        own = _polished({session: logs[session] for session in group})
        factors |= {
            session: float(np.exp(value)) for session, value in own.items() if abs(value) <= LARGEST
        }
    return factors


def corrected(item: Observation, factor: float) -> Observation:
    """An observation without its process's factor."""
    return replace(
        item,
        quiet_ms=item.quiet_ms / factor,
        low_ms=item.low_ms / factor,
        high_ms=item.high_ms / factor,
        median_ms=item.median_ms / factor,
    )


def _joined(logs: dict[str, dict[str, float]]) -> list[list[str]]:
    """Sessions that share enough networks, in groups that networks join, one after another."""
    left = set(logs)
    while True:
        seen = defaultdict(list)
        for session in left:
            for key in logs[session]:
                seen[key].append(session)
        shared = {key for key, sessions in seen.items() if len(sessions) > 1}
        enough = {s for s in left if len(shared & set(logs[s])) >= LEAST}
        if enough == left:
            break
        # One that leaves may have been the only other one that saw a network.
        left = enough
    groups = []
    while left:
        group, border = set[str](), {min(left)}
        while border:
            group |= border
            keys = {key for session in border for key in logs[session]}
            border = {s for key in keys for s in seen[key]} - group
        left = left - group
        groups.append(sorted(group))
    return groups


def _polished(logs: dict[str, dict[str, float]]) -> dict[str, float]:
    """Logarithms of the factors of sessions, 0 at their median."""
    factors = dict.fromkeys(logs, 0.0)
    by_key: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for session, own in logs.items():
        for key, value in own.items():
            by_key[key].append((session, value))
    known = {key: rows for key, rows in by_key.items() if len(rows) > 1}
    for _ in range(STEPS):
        times = {k: median(v - factors[s] for s, v in rows) for k, rows in known.items()}
        before = factors
        factors = {
            session: median(value - times[key] for key, value in own.items() if key in times)
            for session, own in logs.items()
        }
        middle = median(factors.values())
        factors = {session: value - middle for session, value in factors.items()}
        if max(abs(factors[s] - before[s]) for s in factors) < 1e-7:
            break
    return factors
