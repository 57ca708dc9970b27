"""Search spaces from TOML files (``docs/spaces.md``)."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.blocks import BlockSpec, round_channels
from hwnas.spaces.chain import check_classes, image_sizes, reference
from hwnas.spaces.layers import Shape
from hwnas.spaces.limited import LimitedSpace
from hwnas.spaces.module_layers import is_path
from hwnas.spaces.space import Choice, SearchSpace, Slot, Value
from hwnas.spaces.toml_file import RATIO, BlockLine, SpaceFile, read_space, takes

SUFFIX = ".toml"


def toml_factory(path: str | Path) -> Callable[..., SearchSpace]:
    """A factory of the space that a TOML file describes, for an entry point ``hwnas.spaces``.

    Args:
        path: The file; it is read when the factory is called.
    """

    def make(
        name: str,
        *,
        image_size: int | None = None,
        classes: int | None = None,
        input_channels: int | None = None,
    ) -> SearchSpace:
        file = read_space(Path(path))
        found = _Builder(
            file,
            name,
            image_size or file.image_size,
            classes or file.classes,
            input_channels or file.channels,
        ).space()
        return LimitedSpace(found, file.limits) if file.limits else found

    return make


@dataclass(frozen=True)
class _Seat:
    """A slot in the making.

    Args:
        label: Its name.
        line: What can stand there.
        entering: Whether the block has the line's stride, and may change the shape.
        received: Position of the seat whose output it receives; -1 for the image.
        choices: Indices of its choices behind resolution and width: the depth, where
            there is one, the kind, where there are several, then the options.
        names: Names of the options.
        depth: How many blocks the stage must have for this one to be there; 0 outside of stages.
    """

    label: str
    line: BlockLine
    entering: bool
    received: int
    choices: tuple[int, ...]
    names: tuple[str, ...]
    depth: int


class _Builder:
    def __init__(
        self, file: SpaceFile, name: str, image_size: int, classes: int, channels: int
    ) -> None:
        self.file, self.name, self.classes, self.channels = file, name, classes, channels
        check_classes(name, classes)
        # Resolutions that come to the same number of pixels are one.
        self.sizes = list(dict.fromkeys(image_sizes(name, image_size, file.resolutions, ())))
        self.choices = [Choice("resolution", tuple(self.sizes)), Choice("width", file.widths)]
        self.seats: list[_Seat] = []
        # Per builder, so that it goes when the space does.
        self.shape = cache(self._shape)

    def space(self) -> SearchSpace:
        last = self.several("stem", self.file.stem, -1)
        for index, stage in enumerate(self.file.stages):
            label = f"stage{index + 1}"
            if stage.enter is not None:
                last = self.seat(f"{label}.enter", stage.enter, last)
            last = self.stage(label, stage.block, stage.depths, last)
        self.several("head", self.file.head, last)
        self.check()
        space = SearchSpace(
            self.name,
            self.choices,
            [
                Slot(seat.label, (0, 1, *seat.choices), partial(self.block, seat))
                for seat in self.seats
            ],
            input_channels=self.channels,
            image_sizes=self.sizes,
            resolution=0,
            classes=self.classes,
            definition={
                "name": self.file.name,
                "divisor": self.file.divisor,
                "blocks": self.file.blocks,
            },
        )
        space.references[f"{self.file.name}-like"] = reference(space)
        return space

    def several(self, label: str, lines: tuple[BlockLine, ...], last: int) -> int:
        for position, line in enumerate(lines):
            own = label if len(lines) == 1 else f"{label}{position + 1}"
            last = self.seat(own, line, last)
        return last

    def seat(self, label: str, line: BlockLine, last: int) -> int:
        """A block that is always there; gives its position."""
        everything = {**line.shared, **line.options}
        choices = (*self.kinds(label, line), *self.chosen(label, everything))
        self.seats.append(_Seat(label, line, True, last, choices, tuple(everything), 0))
        return len(self.seats) - 1

    def stage(self, label: str, line: BlockLine, depths: tuple[int, ...], last: int) -> int:
        depth = len(self.choices)
        self.choices.append(Choice(f"{label}.depth", depths))
        common = (*self.kinds(label, line), *self.chosen(label, line.shared))
        names = (*line.shared, *line.options)
        first = len(self.seats)
        for position in range(max(depths)):
            active_from = next(i for i, value in enumerate(depths) if value > position)
            own = f"{label}.block{position + 1}"
            choices = self.chosen(own, line.options, depth, active_from)
            self.seats.append(
                _Seat(
                    own,
                    line,
                    position == 0,
                    first if position else last,
                    (depth, *common, *choices),
                    names,
                    position + 1,
                )
            )
        return first

    def kinds(self, label: str, line: BlockLine) -> tuple[int, ...]:
        if len(line.kinds) == 1:
            return ()
        self.choices.append(Choice(f"{label}.kind", line.kinds))
        return (len(self.choices) - 1,)

    def chosen(
        self,
        label: str,
        options: Mapping[str, tuple[Value, ...]],
        parent: int | None = None,
        active_from: int = 0,
    ) -> tuple[int, ...]:
        """Choices for options, also for those of one value, so that all are named alike."""
        start = len(self.choices)
        self.choices += [
            Choice(f"{label}.{name}", values, parent, active_from)
            for name, values in options.items()
        ]
        return tuple(range(start, len(self.choices)))

    def block(self, seat: _Seat, size: int, width: float, *picked: Value) -> PlacedBlock | None:
        """The block of a seat for the values of its choices."""
        if seat.depth:
            depth, *rest = picked
            if seat.depth > int(depth):
                return None
            picked = tuple(rest)
        kind = seat.line.kinds[0]
        if len(seat.line.kinds) > 1:
            kind, picked = str(picked[0]), picked[1:]
        shape = self.received(seat, size, width)
        options = dict(zip(seat.names, picked, strict=True))
        return PlacedBlock(self.spec(seat, kind, shape, width, options), shape)

    def spec(
        self, seat: _Seat, kind: str, shape: Shape, width: float, options: Mapping[str, Value]
    ) -> BlockSpec:
        line, wanted = seat.line, takes(kind)
        channels = shape[-1] if len(shape) == 2 else shape[0]
        arguments: dict[str, Any] = {}
        if line.channels is not None:
            channels = round_channels(line.channels * width, self.file.divisor)
            arguments["channels"] = channels
        if wanted is None or "stride" in wanted:
            arguments["stride"] = line.stride if seat.entering else 1
        if wanted is not None and "classes" in wanted:
            arguments["classes"] = self.classes
        divisor = max(self.file.divisor, int(options.get("groups", 1)))
        for name, value in options.items():
            if name.endswith(RATIO) and wanted is not None:
                name = name.removesuffix(RATIO)
                value = round_channels(channels * float(value), divisor)
            arguments[name] = value
        if is_path(kind):
            return BlockSpec.of("module", path=kind, **arguments)
        return BlockSpec.of(kind, **arguments)

    def received(self, seat: _Seat, size: int, width: float) -> Shape:
        if seat.received < 0:
            return (self.channels, size, size)
        return self.shape(seat.received, size, width)

    def _shape(self, position: int, size: int, width: float) -> Shape:
        """What a seat gives; no option changes that (:meth:`check`)."""
        seat = self.seats[position]
        values = [self.choices[choice].values for choice in seat.choices]
        picked = [max(own) if seat.depth and i == 0 else own[0] for i, own in enumerate(values)]
        block = self.block(seat, size, width, *picked)
        assert block is not None
        return block.graph.output_shape

    def check(self) -> None:
        """Build every block that the space can hold, once.

        Raises:
            SpecError: One cannot be built, or gives another shape than it must.
        """
        for seat in self.seats:
            if seat.depth > 2:
                # As the second block of the stage.
                continue
            for size, width in itertools.product(self.sizes, self.file.widths):
                given = {
                    self.built(seat, named, make).graph.output_shape: named
                    for named, make in self.variants(seat, size, width)
                }
                self.check_shapes(seat, self.received(seat, size, width), given)
        for size, width in itertools.product(self.sizes, self.file.widths):
            last = self.shape(len(self.seats) - 1, size, width)
            if last != (self.classes,):
                raise SpecError(
                    f"{self.file.path}: {self.seats[-1].line.where}: the last block must give "
                    f"({self.classes},), one number for each class, but gives {last}; "
                    "end with a block such as 'classifier'"
                )

    def variants(
        self, seat: _Seat, size: int, width: float
    ) -> Iterator[tuple[str, Callable[[], PlacedBlock | None]]]:
        own = [self.choices[choice] for choice in seat.choices]
        values = [item.values for item in own]
        if seat.depth:
            values[0] = (max(values[0]),)
        for picked in itertools.product(*values):
            named = [f"{c.name}={v}" for c, v in zip(own, picked, strict=True) if len(c.values) > 1]
            text = ", ".join([f"resolution={size}", f"width={width:g}", *named])
            yield text, partial(self.block, seat, size, width, *picked)

    def built(self, seat: _Seat, named: str, make: Callable[[], PlacedBlock | None]) -> PlacedBlock:
        try:
            block = make()
            assert block is not None
            # Laid out here, so that what cannot be is found here.
            assert block.graph.shapes
        except (SpecError, ShapeError) as error:
            raise SpecError(
                f"{self.file.path}: {seat.line.where}: {error} (with {named})"
            ) from error
        return block

    def check_shapes(self, seat: _Seat, received: Shape, given: Mapping[Shape, str]) -> None:
        where = f"{self.file.path}: {seat.line.where}"
        if len(given) > 1:
            (first, one), (second, other), *_ = given.items()
            raise SpecError(
                f"{where}: all choices must give one shape, but {first} comes with {one}, and "
                f"{second} with {other}"
            )
        (shape,) = given
        if not seat.entering and shape != received:
            raise SpecError(
                f"{where}: blocks behind the first of a stage must keep the shape {received}, but "
                f"give {shape} (with {given[shape]})"
            )
