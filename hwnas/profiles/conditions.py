"""Under which conditions latencies were measured, and whether they hold under others.

Another runtime, version, number of threads or batch makes other latencies.
Another processor or system may; that is said and left to the user. Load,
temperature, clock and time change from minute to minute, and the canary watches
what they do: they are not compared. What is unknown on either side is no
difference.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas.errors import RequestError

Conditions = Mapping[str, Any]

LABELS = {
    "runtime": "runtime",
    "version": "runtime version",
    "threads": "threads",
    "batch": "batch size",
    "cpu": "CPU",
    "machine": "machine",
    "features": "CPU features",
    "cores": "CPU cores",
    "governor": "frequency governor",
    "system": "system",
    "affinity": "CPU affinity",
    "provider": "provider",
    "precision": "precision",
    "gpu": "GPU",
    "gpu_driver": "GPU driver",
    "cuda": "CUDA version",
    "cudnn": "cuDNN version",
    "cudnn_benchmark": "choice of cuDNN algorithms by timing",
}
"""What is compared, by the name under which a session stores it."""

REFUSED = ("runtime", "version", "threads", "batch", "provider", "precision")
"""Where a difference means that the latencies do not hold."""


@dataclass(frozen=True)
class Differences:
    """In what conditions differ, as clear text with both values.

    Args:
        refuse: The latencies do not hold.
        warn: They may not hold.
    """

    refuse: list[str] = field(default_factory=list)
    warn: list[str] = field(default_factory=list)


def of_worker(hello: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The conditions of here and now, from what a worker process says of itself.

    Args:
        hello: With ``runtime``, ``version`` and ``conditions``.
        threads: Threads of one inference.
    """
    return {
        "runtime": hello["runtime"],
        "version": hello["version"],
        "threads": threads,
        "batch": 1,
        **hello["conditions"],
    }


def differences(measured: Conditions, now: Conditions) -> Differences:
    """In what one session's conditions differ from those of now."""
    return between({"measured": measured}, {"now": now})


def between(
    first: Mapping[str, Conditions],
    second: Mapping[str, Conditions],
    *,
    where: tuple[str, str] = ("when measured", "now"),
    refused: Collection[str] = REFUSED,
) -> Differences:
    """In what the conditions of two sets of sessions differ.

    Sessions that differ among each other differ from whatever they are compared
    with, for one of them does.

    Args:
        first: Conditions by session.
        second: Conditions by session.
        where: What to call the two.
        refused: The fields of which a difference is in ``refuse``.
    """
    found = Differences()
    for name, label in LABELS.items():
        one, other = _values(first, name), _values(second, name)
        if one and other and len(one | other) > 1:
            text = (
                f"{label}: {_show(one, len(first))} {where[0]}, "
                f"{_show(other, len(second))} {where[1]}"
            )
            (found.refuse if name in refused else found.warn).append(text)
    return found


def mixed(sessions: Mapping[str, Conditions]) -> list[str]:
    """In what the sessions of one profile differ among each other."""
    return [
        f"{label}: {_show(values, len(sessions))}"
        for name, label in LABELS.items()
        if len(values := _values(sessions, name)) > 1
    ]


def check(
    device: str, sessions: Mapping[str, Conditions], now: Conditions, *, force: bool = False
) -> list[str]:
    """Warnings where a device's sessions may not hold now.

    Args:
        device: Its name.
        sessions: Conditions by session; without any, nothing is compared.
        now: The conditions of here and now.
        force: Whether differences that are refused become warnings.

    Raises:
        RequestError: The latencies do not hold under the conditions of now.
    """
    found = between(sessions, {"now": now})
    if found.refuse and not force:
        raise RequestError(
            f"device '{device}' was measured under other conditions: {'; '.join(found.refuse)}. "
            "Profile anew as another device ('hwnas device new'), or give --force to go on."
        )
    unknown_now = {
        session: {name: value for name, value in held.items() if now.get(name) is None}
        for session, held in sessions.items()
    }
    among = [f"sessions differ among each other in {text}" for text in mixed(unknown_now)]
    return [*found.refuse, *found.warn, *among]


def check_device(device: str, sessions: Mapping[str, Conditions], decided: Conditions) -> None:
    """Refuse a device whose ``device.toml`` is another one than that which was measured.

    Where some session was measured as the file has it, nothing is wrong with the file.

    Args:
        device: Its name.
        sessions: Conditions by session; without any, nothing is compared.
        decided: What ``device.toml`` decides (``Device.conditions``).

    Raises:
        RequestError: No session was measured as the file has it.
    """
    wrong = [
        f"{LABELS[name]}: {_show(known, len(sessions))} when measured, {_text(value)} in the file"
        for name, value in decided.items()
        if value is not None
        and (known := _values(sessions, name))
        and json.dumps(value, sort_keys=True) not in known
    ]
    if wrong:
        raise RequestError(
            f"'device.toml' of device '{device}' was changed after it was measured: "
            f"{'; '.join(wrong)}. Put back what it was, or profile anew as another device "
            "('hwnas device new')."
        )


def distinct(sessions: Mapping[str, Conditions], name: str) -> list[Any]:
    """The known values of one condition, the most frequent first."""
    return [json.loads(text) for text, _ in _values(sessions, name).most_common()]


def _values(sessions: Mapping[str, Conditions], name: str) -> Counter[str]:
    """The known values of one condition as JSON, with the number of sessions."""
    return Counter(
        json.dumps(value, sort_keys=True)
        for conditions in sessions.values()
        if (value := conditions.get(name)) is not None
    )


def _show(values: Counter[str], sessions: int) -> str:
    if len(values) == 1 and values.total() == sessions:
        return _text(json.loads(next(iter(values))))
    return " and ".join(
        f"{_text(json.loads(value))} ({count} of {sessions} sessions)"
        for value, count in values.most_common()
    )


def _text(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    if value and all(type(item) is int for item in value):
        return _ranges(sorted(value))
    return ",".join(str(item) for item in value) or "none"


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers as ``0-3,8``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number <= runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
