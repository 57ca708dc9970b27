"""Tables for people: plain columns, numbers of one form, dashes where there is none."""

import math
from collections.abc import Sequence

from rich.table import Table

NOTHING = "–"


def plain_table(title: str, columns: Sequence[str]) -> Table:
    """An empty table without lines, the first column to the left and the others to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def number(value: float | None, form: str = ".2f") -> str:
    """A number in a format of Python's, or a dash."""
    return NOTHING if value is None or math.isnan(value) else format(value, form)


def span(low: float | None, high: float | None, form: str = ".2f", between: str = " to ") -> str:
    """Two bounds, or a dash."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NOTHING
    return f"{low:{form}}{between}{high:{form}}"
