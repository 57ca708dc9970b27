"""Two profiles of one device become one.

A worker process is the same in both when its conditions are, down to the second
at which it started, and a time that it measured is. What both have is added
once, whatever the sessions are called in either.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from hwnas.errors import ProfileError, RequestError
from hwnas.profiles.conditions import REFUSED, between
from hwnas.profiles.device import Device
from hwnas.profiles.observation import CANARY_TOLERANCE, Observation
from hwnas.profiles.records import Records, line


@dataclass(frozen=True)
class Merged:
    """What a merge added.

    Args:
        observations: How many.
        sessions: How many worker processes.
        definitions: How many keys' definitions.
        warnings: In what the two differ without being kept apart by it.
    """

    observations: int
    sessions: int
    definitions: int
    warnings: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there was something to add."""
        return bool(self.observations or self.sessions or self.definitions)


def require_same(own: Device, other: Device) -> None:
    """Two devices are one, whatever they are called.

    Raises:
        RequestError: They differ in the runtime or how it runs.
    """
    for name in ("runtime", "transport", "threads", "precision", "options"):
        one, two = getattr(own, name), getattr(other, name)
        if one != two:
            raise RequestError(
                f"'{own.name}' and '{other.name}' are not the same device: {name} {one} and {two}; "
                "only profiles of one device can be merged"
            )


def joined(
    own: Records, other: Records, names: tuple[str, str], *, force: bool = False
) -> tuple[Records, Merged]:
    """The records of both.

    Args:
        own: Its sessions keep their names, its definitions hold.
        other: What of it is new is added; its sessions get names of their own.
        names: What to call the two in messages.
        force: Whether to go on where the conditions differ.

    Raises:
        RequestError: What is new was measured with another runtime version or CPU.
        ProfileError: Both have a session, but not with the same values.
    """
    known, theirs = _by_session(own), _by_session(other)
    same = _same_sessions(own, known, other, theirs)
    new = {name: held for name, held in other.sessions.items() if name not in same}
    found = between(
        own.sessions,
        new,
        where=(f"in '{names[0]}'", f"in '{names[1]}'"),
        refused=(*REFUSED, "cpu"),
    )
    if found.refuse and not force:
        raise RequestError(
            f"'{names[0]}' and '{names[1]}' were measured under other conditions: "
            f"{'; '.join(found.refuse)}. Keep them as two devices, or give --force to merge them."
        )
    renamed = dict(same)
    for name in new:
        renamed[name] = _new_name(name, new[name], theirs[name], {*own.sessions, *renamed.values()})
    added: list[Observation] = []
    for item in other.observations:
        session = renamed[item.session]
        content = _content(item)
        if item.key not in known[session]:
            added.append(replace(item, session=session))
        elif known[session][item.key] != content:
            raise ProfileError(
                f"session '{session}' of '{names[0]}' and '{item.session}' of '{names[1]}' are "
                f"one, but not with the same values for '{item.key}'; mend one of the two"
            )
        known[session][item.key] = content
    definitions = {k: v for k, v in other.definitions.items() if k not in own.definitions}
    records = Records(
        [*own.observations, *added],
        {**own.definitions, **definitions},
        {**own.sessions, **{renamed[name]: held for name, held in new.items()}},
    )
    warnings = [*found.refuse, *found.warn, *_other_definitions(own, other, names)]
    if new:
        warnings += _other_canary(own, other, names)
    return records, Merged(len(added), len(new), len(definitions), tuple(warnings))


def _content(item: Observation) -> str:
    """An observation without the name of its session."""
    return line({**item.to_json(), "session": ""})


def _by_session(records: Records) -> dict[str, dict[str, str]]:
    """The contents of observations by session and part."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for item in records.observations:
        found[item.session][item.key] = _content(item)
    return found


def _same_sessions(
    own: Records,
    known: dict[str, dict[str, str]],
    other: Records,
    theirs: dict[str, dict[str, str]],
) -> dict[str, str]:
    """Own sessions by the names that they have in the other profile."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name, held in own.sessions.items():
        alike[line(held, sort_keys=True)].append(name)
    failed = {_content(item) for item in other.observations if item.failure is not None}
    same = {}
    for name, held in other.sessions.items():
        content = set(theirs[name].values())
        for candidate in alike[line(held, sort_keys=True)]:
            both = content & set(known[candidate].values())
            # A failure has no time that could tell one process from another.
            if both - failed or both == content:
                same[name] = candidate
                break
    return same


def _new_name(
    name: str, conditions: dict[str, Any], content: dict[str, str], taken: set[str]
) -> str:
    """The session's name with a hash of what it is, so that it is the same in every profile."""
    text = line(conditions, sort_keys=True) + "".join(sorted(content.values()))
    digest = hashlib.sha256(text.encode()).hexdigest()
    base = name.partition(".")[0]
    return next(
        found for length in range(8, 65) if (found := f"{base}.{digest[:length]}") not in taken
    )


def _other_definitions(own: Records, other: Records, names: tuple[str, str]) -> list[str]:
    count = sum(
        own.definitions.get(key, value) != value for key, value in other.definitions.items()
    )
    text = f"{count} definitions are not the same in '{names[1]}'; those of '{names[0]}' hold"
    return [text] if count else []


def _other_canary(own: Records, other: Records, names: tuple[str, str]) -> list[str]:
    """A warning where the slower machine's sessions will all count as disturbed."""
    best = [records.quiet_canary_ms() for records in (own, other)]
    if not all(best) or max(best) <= min(best) * (1 + CANARY_TOLERANCE):
        return []
    return [
        f"the canary's best is {best[0]:.4f} ms in '{names[0]}' and {best[1]:.4f} ms in "
        f"'{names[1]}': the slower of the two counts as disturbed"
    ]
