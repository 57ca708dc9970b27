"""``measurements.jsonl``: records to lines and back, with every line checked."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hwnas.errors import ProfileError
from hwnas.profiles.observation import Observation
from hwnas.profiles.records import Records, line

SCHEMA = 1
_OPTIONAL = {"cold_ms": float}
_FIELDS = {item.name: _OPTIONAL.get(item.name, item.type) for item in fields(Observation)}
_POSITIVE = {"quiet_ms", "canary_ms"}
_SHOWN = 60

LARGEST_MS = 1e9
"""Eleven days: what says that an inference took longer was not measured."""


def to_text(
    observations: Iterable[Observation] = (),
    definitions: Mapping[str, dict[str, Any]] | None = None,
    sessions: Mapping[str, dict[str, Any]] | None = None,
    *,
    schema: bool = False,
) -> str:
    """The lines of records; sessions come first, since observations refer to them.

    Raises:
        ProfileError: An observation holds a value that could not be read again.
    """
    values: list[dict[str, Any]] = [{"schema": SCHEMA}] if schema else []
    values += [{"session": k, "conditions": v} for k, v in (sessions or {}).items()]
    values += [{"define": k, "as": v} for k, v in (definitions or {}).items()]
    for item in observations:
        value = item.to_json()
        wrong = _fault(value)
        if wrong is not None:
            raise ProfileError(f"an observation of '{_short(item.key)}' cannot be kept: {wrong}")
        values.append(value)
    return "".join(line(value) for value in values)


def sorted_text(records: Records) -> str:
    """The whole file, sorted so that two versions compare well."""
    return to_text(
        sorted(records.observations, key=lambda item: (item.key, item.session)),
        dict(sorted(records.definitions.items())),
        dict(sorted(records.sessions.items())),
        schema=True,
    )


def parse(payload: bytes, path: Path) -> Records:
    """The records of a file.

    Lines torn by a write that was cut off are dropped, and so is a second,
    identical observation of a part in a session. Of two definitions of a part
    the later holds.

    Args:
        payload: The file's bytes.
        path: Its name, for messages.

    Raises:
        ProfileError: A line is broken, contradicts another, lacks its session's
            conditions, or is of a newer schema.
    """
    reader = _Reader(path)
    for number, raw in enumerate(payload.split(b"\n"), 1):
        if raw.strip():
            reader.take(number, raw)
    return reader.finish()


class _Reader:
    """Takes lines one by one and remembers where each record stood."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = Records()
        self._schema = False
        self._session_lines: dict[str, int] = {}
        self._seen: dict[tuple[str, str], tuple[int, Observation]] = {}

    def _error(self, number: int, what: str, advice: str) -> ProfileError:
        return ProfileError(f"'{self._path}', line {number}: {what}; {advice}")

    def take(self, number: int, raw: bytes) -> None:
        mend = "mend or remove the line"
        try:
            value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
            if b"\\u" in raw:
                line({"": value}).encode("utf-8")  # half a surrogate pair could not be written
        except _TwiceError as error:
            raise self._error(number, f"'{_short(str(error))}' stands twice in it", mend) from error
        except (ValueError, RecursionError) as error:
            if _torn(raw):
                return
            what = "not UTF-8" if isinstance(error, UnicodeError) else f"not JSON ({error})"
            raise self._error(number, what, mend) from error
        if not isinstance(value, dict):
            raise self._error(number, "not a JSON object", mend)
        if "schema" in value:
            schema = value["schema"]
            if type(schema) is not int or schema != SCHEMA:
                newer = type(schema) is int and schema > SCHEMA
                what = f"schema {_short(json.dumps(schema))}, this hwnas knows {SCHEMA}"
                raise self._error(number, what, "update hwnas" if newer else mend)
            self._schema = True
        elif "define" in value:
            if not _is(value, {"define": str, "as": dict}):
                raise self._error(number, 'a definition is {"define": text, "as": object}', mend)
            self._records.definitions[value["define"]] = value["as"]
        elif "conditions" in value:
            if not _is(value, {"session": str, "conditions": dict}):
                what = 'a session is {"session": text, "conditions": object}'
                raise self._error(number, what, mend)
            self._take_session(number, value["session"], value["conditions"])
        else:
            wrong = _fault(value)
            if wrong is not None:
                raise self._error(number, wrong, mend)
            self._take_observation(number, _observation(value))

    def _take_session(self, number: int, name: str, conditions: dict[str, Any]) -> None:
        known = self._records.sessions.get(name)
        if known is not None and line(known, sort_keys=True) != line(conditions, sort_keys=True):
            first = self._session_lines[name]
            raise self._error(
                number, f"session '{_short(name)}' differs from line {first}", _one_side()
            )
        self._records.sessions[name] = conditions
        self._session_lines.setdefault(name, number)

    def _take_observation(self, number: int, item: Observation) -> None:
        place = (item.key, item.session)
        if place in self._seen:
            first, known = self._seen[place]
            if known.to_json() != item.to_json():
                what = f"{_named(item.key, item.session)} contradicts line {first}"
                raise self._error(number, what, _one_side())
            return
        self._seen[place] = (number, item)
        self._records.observations.append(item)

    def finish(self) -> Records:
        for (key, session), (number, _) in self._seen.items():
            if session not in self._records.sessions:
                raise self._error(
                    number,
                    f"{_named(key, session)} has no conditions: those of the session are not "
                    "in the file",
                    'restore the line {"session":"' + _short(session) + '",…} or remove this one',
                )
        if not self._schema and (self._seen or self._records.sessions or self._records.definitions):
            raise self._error(1, "no schema", f'put the line {{"schema":{SCHEMA}}} before it')
        return self._records


class _TwiceError(Exception):
    """A field that an object has twice; JSON would silently take the later."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise _TwiceError(name)
        value[name] = item
    return value


def _one_side() -> str:
    return (
        "remove one of the two; where git merged two profiles, take one side of the file and "
        "add the other with 'hwnas device merge'"
    )


def _short(key: str) -> str:
    return key if len(key) <= _SHOWN else key[: _SHOWN - 1] + "…"


def _named(key: str, session: str) -> str:
    return f"'{_short(key)}' in session '{_short(session)}'"


def _is(value: dict[str, Any], types: dict[str, type]) -> bool:
    return set(value) == set(types) and all(isinstance(value[k], t) for k, t in types.items())


def _torn(raw: bytes) -> bool:
    """Whether a line is the beginning of an object that never closes, or was never filled."""
    text = raw.rstrip(b"\0").decode("utf-8", "replace")
    if not text:
        return True
    if not text.startswith("{"):
        return False
    depth, quoted, escaped = 0, False, False
    for character in text:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                return False
    return True


def _fault(value: dict[str, Any]) -> str | None:
    """What keeps a value from being an observation, or ``None``."""
    unknown = sorted(set(value) - set(_FIELDS))
    if unknown:
        return f"unknown field '{_short(unknown[0])}', an observation has {', '.join(_FIELDS)}"
    failure = value.get("failure")
    wanted = {"key", "session", "failure"} if failure is not None else set(_FIELDS) - {"failure"}
    for name in _FIELDS:
        if name in _OPTIONAL and name not in value:
            continue
        if name in wanted and name not in value:
            return f"an observation without '{name}'"
        if name not in wanted and value.get(name) is not None:
            return f"an observation with both a failure and '{name}'"
        wrong = _wrong_value(name, value[name]) if name in wanted else None
        if wrong is not None:
            return f"'{name}' must be {wrong}, received {_short(json.dumps(value[name]))}"
    if failure is None and value["low_ms"] > value["high_ms"]:
        return f"'low_ms' {value['low_ms']} is above 'high_ms' {value['high_ms']}"
    if failure is None and value["accepted"] > value["rounds"]:
        return f"'accepted' {value['accepted']} is above 'rounds' {value['rounds']}"
    return None


def _wrong_value(name: str, value: Any) -> str | None:
    kind = _FIELDS[name]
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and value > LARGEST_MS:
            return f"a time of at most {LARGEST_MS:g} ms"
        if name in _POSITIVE:
            return None if number and value > 0 else "a positive time in ms"
        return None if number and value >= 0 else "a time in ms, not negative"
    if kind is int:
        counted = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return None if counted else "a count"
    return None if isinstance(value, str) and value else "a text"


def _observation(value: dict[str, Any]) -> Observation:
    values: dict[str, Any] = {k: float(v) if _FIELDS[k] is float else v for k, v in value.items()}
    return Observation(**values)
