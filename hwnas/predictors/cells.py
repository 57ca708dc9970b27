"""Architecture features for tables: NAS-Bench-201 strings, or any columns of integer choices."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import RequestError

Floats = NDArray[np.float64]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The cell's edges in the order of the string (Dong and Yang, NAS-Bench-201, ICLR 2020)."""

OPERATIONS = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
ABSENT = "none"

CELLS = 15
CONVOLUTION_MACS = 16 * 16 * 32 * 32
"""MACs of a 1x1 convolution in a cell: the same in all stages, whose channels double and
whose sides halve."""

OUTSIDE_MACS = (
    3 * 16 * 9 * 32 * 32  # stem
    + 2 * (16 * 32 * 9 + 32 * 32 * 9 + 16 * 32) * 16 * 16  # reduction blocks, alike twice
    + 64 * 10  # classifier
)

OUTSIDE_PARAMETERS = 73306
"""Of stem, reduction blocks and classifier of ten classes, batch norms included: the smallest
network of the benchmark."""

MOST_LEVELS = 32
"""Settings of a choice beyond which it is a size rather than a name."""

_OPERATION = re.compile(r"([a-z0-9_]+)~([0-2])")


def parse_cell(text: str) -> tuple[str, ...]:
    """The operations on the six edges of a NAS-Bench-201 string, in the order of ``EDGES``.

    Raises:
        RequestError: The text is no such string.
    """
    found = _OPERATION.findall(text)
    sources = [int(source) for _, source in found]
    unknown = [name for name, _ in found if name not in (*OPERATIONS, ABSENT)]
    if sources != [source for source, _ in EDGES] or unknown:
        raise RequestError(
            f"'{text}' is no NAS-Bench-201 architecture; expected "
            "|op~0|+|op~0|op~1|+|op~0|op~1|op~2| with each op one of "
            f"{', '.join((ABSENT, *OPERATIONS))}"
        )
    return tuple(name for name, _ in found)


def _used(cell: Sequence[str]) -> list[bool]:
    """Which edges lie on a way from the cell's input to its output."""
    there = [name != ABSENT for name in cell]
    reached, needed = {0}, {3}
    for (source, end), is_there in zip(EDGES, there, strict=True):
        if is_there and source in reached:
            reached.add(end)
    for (source, end), is_there in reversed(list(zip(EDGES, there, strict=True))):
        if is_there and end in needed:
            needed.add(source)
    return [
        is_there and source in reached and end in needed
        for (source, end), is_there in zip(EDGES, there, strict=True)
    ]


def cell_features(cells: Sequence[str]) -> tuple[Floats, Floats]:
    """Features of NAS-Bench-201 strings: counts ``(n, 8)`` and operations by edge ``(n, 24)``.

    Counts are of each operation, over all edges and over those that lie on a way from the
    cell's input to its output. Operations by edge are one column each but for ``none``.

    Raises:
        RequestError: A text is no such string.
    """
    known: dict[str, tuple[list[int], list[bool]]] = {}
    for text in cells:
        if text in known:
            continue
        cell = parse_cell(text)
        on_way = [own if u else ABSENT for own, u in zip(cell, _used(cell), strict=True)]
        counts = [own.count(name) for own in (list(cell), on_way) for name in OPERATIONS]
        known[text] = counts, [own == name for own in cell for name in OPERATIONS]
    return (
        np.array([known[text][0] for text in cells], dtype=float).reshape(-1, 8),
        np.array([known[text][1] for text in cells], dtype=float).reshape(-1, 24),
    )


def cell_costs(cells: Sequence[str]) -> tuple[Floats, Floats]:
    """What a device may pay for in the cells of NAS-Bench-201 strings, ``(n, 5)`` each.

    Counts of ``none``, which eager execution multiplies by zero, and of each operation: all
    that are there, or those that lie on a way from the cell's input to its output, which is
    what a compiler keeps.

    Raises:
        RequestError: A text is no such string.
    """
    counts = cell_features(cells)[0]
    there, on_way = counts[:, : len(OPERATIONS)], counts[:, len(OPERATIONS) :]
    absent = len(EDGES) - there.sum(axis=1, keepdims=True)
    return np.concatenate([absent, there], axis=1), np.concatenate([absent, on_way], axis=1)


def cell_macs(cells: Sequence[str]) -> Floats:
    """Multiply-accumulate operations of the networks of NAS-Bench-201 strings, ``(n,)``.

    Raises:
        RequestError: A text is no such string.
    """
    counts = cell_features(cells)[0][:, : len(OPERATIONS)]
    weights = np.array([{"nor_conv_1x1": 1.0, "nor_conv_3x3": 9.0}.get(o, 0.0) for o in OPERATIONS])
    macs: Floats = OUTSIDE_MACS + CELLS * CONVOLUTION_MACS * (counts @ weights)
    return macs


def cell_parameters(cells: Sequence[str]) -> Floats:
    """Trained parameters of the networks of NAS-Bench-201 strings, ``(n,)``, for ten classes.

    Raises:
        RequestError: A text is no such string.
    """
    counts = cell_features(cells)[0][:, : len(OPERATIONS)]
    areas = [{"nor_conv_1x1": 1, "nor_conv_3x3": 9}.get(name, 0) for name in OPERATIONS]
    # A convolution and its batch norm, in the five cells of each stage.
    weights = np.array(
        [sum(5 * (a * c * c + 2 * c) if a else 0 for c in (16, 32, 64)) for a in areas]
    )
    parameters: Floats = OUTSIDE_PARAMETERS + counts @ weights.astype(float)
    return parameters


def gene_features(genes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Features of integer choices ``(n, choices)``: the sizes, and a column for each setting.

    A choice of more than 32 settings is kept as a size only.
    """
    columns = [
        (column == level).astype(float)
        for column in genes.T
        if 2 < len(levels := np.unique(column)) <= MOST_LEVELS
        for level in levels
    ]
    settings = np.stack(columns, axis=1) if columns else np.zeros((len(genes), 0))
    return genes.astype(float), settings
