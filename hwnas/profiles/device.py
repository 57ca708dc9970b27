"""What a device is: a runtime with options on a transport. Kept as ``device.toml``."""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwnas.errors import ProfileError, RequestError
from hwnas.files import write_text

SCHEMA = 1
LONGEST_NAME = 64
PRECISIONS = ("fp32", "tf32", "fp16")


@dataclass(frozen=True)
class Device:
    """A named place to run models.

    Args:
        name: Letters, digits, ``-``, ``_`` and ``.``.
        runtime: Name of the runtime.
        transport: How to reach it.
        threads: Threads of one inference.
        precision: ``fp32``, ``tf32`` or ``fp16``, as far as the runtime has it.
        options: What the runtime is told besides, ``provider`` for one. Which providers and
            precisions a runtime has is checked where it is used (``targets.target``).
    """

    name: str
    runtime: str = "onnxruntime"
    transport: str = "local"
    threads: int = 1
    precision: str = "fp32"
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (
            not self.name
            or not all(c.isalnum() or c in "-_." for c in self.name)
            or self.name[0] == "."
        ):
            raise RequestError(
                f"a device's name has letters, digits, '-', '_' and '.', received '{self.name}'"
            )
        if len(self.name) > LONGEST_NAME:
            raise RequestError(f"a device's name has at most {LONGEST_NAME} characters")
        if self.threads < 1:
            raise RequestError(f"threads must be at least 1, received {self.threads}")
        if self.precision not in PRECISIONS:
            raise RequestError(
                f"precision must be {' or '.join(PRECISIONS)}, received '{self.precision}'"
            )

    @property
    def told(self) -> dict[str, str]:
        """What the runtime is told: the options and the precision."""
        return {**self.options, "precision": self.precision}

    @property
    def conditions(self) -> dict[str, Any]:
        """What of the conditions of its sessions the device decides, by their names."""
        return {
            "runtime": self.runtime,
            "threads": self.threads,
            "precision": self.precision,
            "provider": self.options.get("provider"),
        }

    def to_toml(self) -> str:
        """The text of ``device.toml``."""
        values: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        options = values.pop("options")
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        if options:
            lines += ["", "[options]", *(f"{k} = {_toml(v)}" for k, v in sorted(options.items()))]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``device.toml`` into a folder."""
        write_text(folder / "device.toml", self.to_toml())

    @classmethod
    def read(cls, folder: Path) -> "Device":
        """The device of a profile folder.

        Raises:
            ProfileError: The file is missing, not TOML, of a newer schema, or describes no device.
        """
        path = folder / "device.toml"
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ProfileError(f"'{path}' cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ProfileError(f"'{path}' is not TOML: {error}; mend or remove it") from error
        schema = values.pop("schema", None)
        if type(schema) is not int or schema != SCHEMA:
            newer = type(schema) is int and schema > SCHEMA
            raise ProfileError(
                f"'{path}' has schema {schema!r}, this hwnas knows {SCHEMA}: "
                + ("update hwnas" if newer else "mend the file")
            )
        wrong = _fault(values)
        if wrong is None:
            try:
                return cls(**values)
            except RequestError as error:
                wrong = str(error)
        raise ProfileError(f"'{path}': {wrong}; mend the file")


_TYPES: dict[str, type] = {
    "name": str,
    "runtime": str,
    "transport": str,
    "threads": int,
    "precision": str,
    "options": dict,
}
_WORDS = {str: "a text", int: "a whole number", dict: "a table of texts"}


def _fault(values: dict[str, Any]) -> str | None:
    """What keeps the values of a file from being a device, or ``None``."""
    if "name" not in values:
        return "the device has no name"
    for key, value in values.items():
        if key not in _TYPES:
            return f"unknown field '{key}', a device has {', '.join(_TYPES)}"
        right = isinstance(value, _TYPES[key]) and not isinstance(value, bool)
        if key == "options":
            right = right and all(isinstance(item, str) for item in value.values())
        if not right:
            return f"{key} must be {_WORDS[_TYPES[key]]}, received {value!r}"
    return None


def _toml(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
