"""A search space as a TOML file: what may stand in it, read and checked key by key.

``docs/spaces.md`` describes the format. What is wrong is said with the file, the
place and the key; :mod:`hwnas.spaces.toml_space` makes a space of what is right.
"""

import difflib
import inspect
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import SpecError, UnknownNameError
from hwnas.spaces.blocks import BLOCKS, Argument
from hwnas.spaces.costs import COSTS
from hwnas.spaces.module_layers import is_path
from hwnas.spaces.space import Value

RATIO = "_ratio"
"""Behind the name of an argument: it is given as a share of the block's channels."""

_TOP = ("name", "input", "limits", "widths", "divisor", "stem", "stages", "head")
_INPUT = ("image_size", "channels", "classes", "resolutions")
_LINE = ("block", "channels", "stride", "shared")
_TYPES = {int: "a whole number", bool: "true or false", str: "text"}
_FILLED = ("channels", "stride", "classes")
"""Arguments that are not written as options, since the space fills them in."""


@dataclass(frozen=True)
class BlockLine:
    """A place for a block: its kinds and what they are built with.

    Args:
        where: Its place in the file, for errors.
        kinds: What kinds of block can stand there.
        channels: Channels at width 1; ``None`` for kinds that take none.
        stride: Its stride.
        options: What can be chosen, by the name of an argument or of its ratio.
        shared: The same, chosen once for a stage.
    """

    where: str
    kinds: tuple[str, ...]
    channels: int | None
    stride: int
    options: Mapping[str, tuple[Value, ...]]
    shared: Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class StageLine:
    """A stage: its blocks, how many they can be, and the block that it begins with, if any."""

    block: BlockLine
    depths: tuple[int, ...]
    enter: BlockLine | None


@dataclass(frozen=True)
class SpaceFile:
    """A checked file.

    Args:
        path: The file.
        name: Name of the space.
        image_size: Pixels at resolution 1.
        channels: Channels of the images.
        classes: Number of classes.
        resolutions: Multipliers of the image size.
        widths: Multipliers of all ``channels`` behind the input.
        divisor: What channel counts are multiples of.
        limits: The most that architectures may have.
        stem: Blocks before the stages.
        stages: The stages.
        head: Blocks behind them.
        blocks: What the file says of stem, stages and head, as plain values.
    """

    path: Path
    name: str
    image_size: int
    channels: int
    classes: int
    resolutions: tuple[float, ...]
    widths: tuple[float, ...]
    divisor: int
    limits: Mapping[str, int]
    stem: tuple[BlockLine, ...]
    stages: tuple[StageLine, ...]
    head: tuple[BlockLine, ...]
    blocks: Mapping[str, Any]


def takes(kind: str) -> dict[str, inspect.Parameter] | None:
    """The arguments of a kind of block by name; ``None`` where any may be given."""
    if is_path(kind):
        return None
    parameters = list(inspect.signature(BLOCKS[kind]).parameters.values())[1:]
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters):
        return None
    return {item.name: item for item in parameters}


def read_space(path: Path) -> SpaceFile:
    """The space that a TOML file describes.

    Raises:
        SpecError: The file cannot be read, is not TOML, or a key in it is unknown,
            missing or has a value that is not allowed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError(f"there is no file '{path}'; give the path of a space's TOML file") from (
            error
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"'{path}' cannot be read as TOML: {error}") from error
    return _Reader(path).space(content)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def space(self, content: Mapping[str, Any]) -> SpaceFile:
        self.known("the file", content, _TOP)
        given = self.table("input", self.need("the file", content, "input"))
        self.known("input", given, _INPUT)
        limits = self.table("limits", content.get("limits", {}))
        self.known("limits", limits, tuple(COSTS))
        head = self.lines("head", self.need("the file", content, "head"))
        stages = self.need("the file", content, "stages")
        if not isinstance(stages, list) or not stages:
            raise self.wrong("stages", "there must be at least one, each under [[stages]]")
        return SpaceFile(
            path=self.path,
            name=self.text("name", content.get("name", self.path.stem)),
            image_size=self.whole("input.image_size", self.need("input", given, "image_size")),
            channels=self.whole("input.channels", given.get("channels", 3)),
            classes=self.whole("input.classes", self.need("input", given, "classes")),
            resolutions=self.multipliers("input.resolutions", given.get("resolutions", [1.0])),
            widths=self.multipliers("widths", content.get("widths", [1.0])),
            divisor=self.whole("divisor", content.get("divisor", 8)),
            limits={name: self.whole(f"limits.{name}", item) for name, item in limits.items()},
            stem=self.lines("stem", content.get("stem", [])),
            stages=tuple(
                self.stage(f"stages[{position + 1}]", item) for position, item in enumerate(stages)
            ),
            head=head,
            blocks={part: content[part] for part in ("stem", "stages", "head") if part in content},
        )

    def stage(self, where: str, value: Any) -> StageLine:
        table = self.table(where, value)
        depths = self.need(where, table, "depths")
        depths = depths if isinstance(depths, list) else [depths]
        found = tuple(self.whole(f"{where}.depths", item) for item in depths)
        if not found or list(found) != sorted(set(found)):
            raise self.wrong(f"{where}.depths", f"must be ascending, received {depths}")
        enter = table.get("enter")
        return StageLine(
            self.line(where, {k: v for k, v in table.items() if k not in ("depths", "enter")}),
            found,
            None if enter is None else self.line(f"{where}.enter", enter),
        )

    def lines(self, where: str, value: Any) -> tuple[BlockLine, ...]:
        """One table, or several in order."""
        if not isinstance(value, list):
            return (self.line(where, value),)
        return tuple(self.line(f"{where}[{i + 1}]", item) for i, item in enumerate(value))

    def line(self, where: str, value: Any) -> BlockLine:
        table = self.table(where, value)
        kinds = self.need(where, table, "block")
        kinds = tuple(kinds if isinstance(kinds, list) else [kinds])
        if not kinds:
            raise self.wrong(f"{where}.block", "a list of kinds must name at least one")
        for kind in kinds:
            if not is_path(kind) and kind not in BLOCKS:
                try:
                    raise UnknownNameError("block", str(kind), BLOCKS)
                except UnknownNameError as error:
                    raise self.wrong(f"{where}.block", str(error)) from error
        shared = self.table(f"{where}.shared", table.get("shared", {}))
        options = {key: item for key, item in table.items() if key not in _LINE}
        twice = sorted(shared.keys() & options.keys())
        if twice:
            raise self.wrong(f"{where}.{twice[0]}", "stands in 'shared' too; give it once")
        for kind in kinds:
            self.arguments(where, kind, table, {**options, **shared})
        channels = table.get("channels")
        return BlockLine(
            where,
            kinds,
            None if channels is None else self.whole(f"{where}.channels", channels),
            self.whole(f"{where}.stride", table.get("stride", 1)),
            {key: self.values(f"{where}.{key}", item) for key, item in options.items()},
            {key: self.values(f"{where}.shared.{key}", item) for key, item in shared.items()},
        )

    def arguments(
        self, where: str, kind: str, table: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        """Refuse options that a kind has not, and those that it lacks."""
        wanted = takes(kind)
        if wanted is None:
            return
        own = [name for name in wanted if name not in _FILLED]
        allowed = [*own, *(f"{name}{RATIO}" for name in own)]
        for key in options:
            if key not in allowed:
                names = (*own, *(key for key in _LINE if key in wanted or key not in _FILLED))
                raise self.unknown(where, key, names, f"block '{kind}' has no argument '{key}'")
        for name in ("channels", "stride"):
            if name in table and name not in wanted:
                raise self.wrong(f"{where}.{name}", f"block '{kind}' takes no {name}; leave it out")
        for name in own:
            both = [key for key in (name, name + RATIO) if key in options]
            if wanted[name].default is inspect.Parameter.empty and not both:
                raise self.wrong(
                    where, f"block '{kind}' needs '{name}'; it takes {', '.join(wanted)}"
                )
            if len(both) == 2:
                raise self.wrong(f"{where}.{name}", f"is given as '{name}{RATIO}' too; give one")
            for key in both:
                self.types(f"{where}.{key}", options[key], wanted[name].annotation)
        if "channels" in wanted and "channels" not in table:
            raise self.wrong(where, f"block '{kind}' needs 'channels'")

    def types(self, where: str, value: Any, wanted: type) -> None:
        """Refuse values of another type than the argument's, and shares that are none."""
        for item in value if isinstance(value, list) else [value]:
            if where.endswith(RATIO):
                if type(item) not in (int, float) or not item > 0:
                    raise self.wrong(where, f"must be a number above 0, received {item!r}")
            elif type(item) is not wanted:
                hint = f"; a share of the channels is written '{where.rpartition('.')[2]}{RATIO}'"
                raise self.wrong(
                    where,
                    f"must be {_TYPES[wanted]}, received {item!r}"
                    + (hint if isinstance(item, float) else ""),
                )

    def values(self, where: str, value: Any) -> tuple[Argument, ...]:
        found = value if isinstance(value, list) else [value]
        if not found:
            raise self.wrong(where, "a list of choices must have at least one value")
        for item in found:
            if not isinstance(item, int | float | str | bool):
                raise self.wrong(where, f"must be a number, text, true or false, received {item!r}")
        if len(set(map(repr, found))) < len(found):
            raise self.wrong(where, f"has a value twice: {found}")
        return tuple(found)

    def multipliers(self, where: str, value: Any) -> tuple[float, ...]:
        if not isinstance(value, list) or not value:
            raise self.wrong(where, f"must be a list of numbers above 0, received {value!r}")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int | float) or not item > 0:
                raise self.wrong(where, f"must be numbers above 0, received {item!r}")
        if len(set(value)) < len(value):
            raise self.wrong(where, f"has a value twice: {value}")
        return tuple(float(item) for item in value)

    def whole(self, where: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.wrong(where, f"must be a positive whole number, received {value!r}")
        return value

    def text(self, where: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise self.wrong(where, f"must be text, received {value!r}")
        return value

    def table(self, where: str, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(where, f"must be a table of keys and values, received {value!r}")
        return value

    def need(self, where: str, table: Mapping[str, Any], key: str) -> Any:
        if key not in table:
            near = difflib.get_close_matches(key, table, n=1)
            hint = f"; '{near[0]}' is not it" if near else ""
            raise self.wrong(where, f"'{key}' is missing{hint}")
        return table[key]

    def known(self, where: str, table: Iterable[str], allowed: Sequence[str]) -> None:
        for key in table:
            if key not in allowed:
                raise self.unknown(where, key, allowed, f"there is no key '{key}'")

    def unknown(self, where: str, key: str, allowed: Sequence[str], what: str) -> SpecError:
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        return self.wrong(where, f"{what}{hint} Allowed: {', '.join(allowed)}")

    def wrong(self, where: str, what: str) -> SpecError:
        return SpecError(f"{self.path}: {where}: {what}")
