"""What a profile holds, and what follows from it."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas.kernels import fusion_name
from hwnas.profiles.factors import corrected, session_factors
from hwnas.profiles.observation import Measurement, Observation, combine


@dataclass
class Records:
    """What a profile holds.

    Args:
        observations: In the order in which they were written.
        definitions: What a ``block:…`` or ``network:…`` key stands for.
        sessions: Conditions of each worker process.
    """

    observations: list[Observation] = field(default_factory=list)
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def measurements(self) -> dict[str, Measurement]:
        """One measurement per part that was seen without failure.

        Whole networks without what those of one process have in common
        (:mod:`hwnas.profiles.factors`).
        """
        best = self.quiet_canary_ms()
        factors = session_factors(self.observations, best)
        groups: dict[str, list[Observation]] = defaultdict(list)
        for item in self.observations:
            if item.failure is not None:
                continue
            if item.key.startswith("network:") and item.session in factors:
                item = corrected(item, factors[item.session])
            groups[item.key].append(item)
        return {key: combine(items, best) for key, items in groups.items()}

    def quiet_canary_ms(self) -> float:
        """What the canary takes when the device is quiet, ms; 0 where nothing was seen.

        The lowest decile over the processes of what each saw at best: of many
        processes one may have been faster than the device ever is again.
        """
        best = {i.session: i.canary_ms for i in self.observations if i.failure is None}
        ordered = sorted(best.values())
        return ordered[len(ordered) // 10] if ordered else 0.0

    def session_counts(self) -> dict[str, int]:
        """In how many processes each part was seen; failures count as done."""
        counts: dict[str, int] = defaultdict(int)
        for item in self.observations:
            counts[item.key] += 1000 if item.failure is not None else 1
        return dict(counts)

    def next_session(self) -> int:
        """The least number above all sessions named ``s0000`` and so on.

        Counting sessions is not enough: where one was removed by hand, the count
        is the number of one that is there.
        """
        numbers = (name[1:].partition(".")[0] for name in self.sessions if name[:1] == "s")
        return max((int(text) + 1 for text in numbers if text.isdecimal()), default=0)

    def failed(self) -> set[str]:
        """The parts that were seen only to fail."""
        worked = {item.key for item in self.observations if item.failure is None}
        return {item.key for item in self.observations} - worked

    def times(self) -> list[str]:
        """When the worker processes were started, ISO 8601 in UTC, earliest first."""
        found = (conditions.get("at") for conditions in self.sessions.values())
        return sorted(text for text in found if isinstance(text, str))

    def fusion(self, runtime: str) -> str:
        """The name of the fusion rules by which a runtime runs networks on this device.

        Args:
            runtime: Its name.
        """
        return fusion_of(runtime, next(iter(self.sessions.values()), {}))

    def digest(self) -> str:
        """A hash of all that a predictor learns from, whatever its order.

        Conditions are left out: a predictor does not look at them.
        """
        lines = [line(item.to_json()) for item in self.observations]
        lines += [
            line({"define": key, "as": self.definitions[key]}, sort_keys=True)
            for key in self.definitions
        ]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def fusion_of(runtime: str, conditions: Mapping[str, Any]) -> str:
    """The name of the fusion rules of a runtime under a session's conditions."""
    features = conditions.get("features")
    return fusion_name(runtime, features if isinstance(features, list) else ())


def line(value: dict[str, Any], *, sort_keys: bool = False) -> str:
    """One line of JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort_keys)
    return text + "\n"
