"""Tables of others: CSV files, one row per architecture and one column per device."""

import csv
import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import RequestError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LEAST_MS, LARGEST_MS = 1e-9, 1e9
"""Latencies outside are no measurements, and overflow where they are divided or squared."""

LARGEST_GENE = 2**31

_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,11}\s*")


@dataclass(frozen=True)
class CsvTable:
    """A table as text.

    Args:
        path: Where it was read.
        columns: The values by column.
        rows: How many rows.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: int

    def column(self, name: str) -> list[str]:
        """The values of a column.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if name not in self.columns:
            raise UnknownNameError(f"column in '{self.path}'", name, self.columns)
        return self.columns[name]

    def numbers(self, name: str) -> "NDArray[np.float64]":
        """A column of numbers, ``(rows,)``; what is empty is NaN.

        Raises:
            UnknownNameError: There is no column of that name.
            RequestError: A value is no number.
        """
        import numpy as np

        values = np.full(self.rows, np.nan)
        for row, text in enumerate(self.column(name)):
            if _NUMBER.fullmatch(text):
                values[row] = float(text)
            elif text.strip():
                raise RequestError(
                    f"'{self.path}', line {row + 2}, column '{name}': must be a number, or empty "
                    f"where there is none; received '{text}'"
                )
        return values

    def latencies_ms(self, names: list[str]) -> "NDArray[np.float64]":
        """Columns as latencies, ``(rows, names)`` ms.

        Raises:
            UnknownNameError: There is no column of a name.
            RequestError: A value is not a positive number.
        """
        import numpy as np

        return np.stack([self._positive(name) for name in names], axis=1)

    def _positive(self, name: str) -> "NDArray[np.float64]":
        import numpy as np

        values = np.zeros(self.rows)
        for row, text in enumerate(self.column(name)):
            # Python reads 1_0 and digits of other scripts as numbers; other programs do not.
            values[row] = float(text) if _NUMBER.fullmatch(text) else np.nan
            if not values[row] > 0:
                raise RequestError(
                    f"'{self.path}', line {row + 2}, column '{name}': a latency is a positive "
                    f"number of milliseconds; received '{text}'"
                )
            if not LEAST_MS <= values[row] <= LARGEST_MS:
                raise RequestError(
                    f"'{self.path}', line {row + 2}, column '{name}': a latency is from "
                    f"{LEAST_MS:g} to {LARGEST_MS:g} ms; received '{text}'"
                )
        return values


def read_table(path: Path) -> CsvTable:
    """A CSV file, or one compressed by gzip.

    Raises:
        RequestError: It is missing, empty, no CSV, or its rows are of different lengths.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream))
    except FileNotFoundError as error:
        raise RequestError(f"there is no file '{path}'") from error
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"'{path}' cannot be read as CSV: {error}") from error
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise RequestError(f"'{path}' has no rows below its header")
    header, body = rows[0], rows[1:]
    if len(set(header)) < len(header):
        raise RequestError(f"'{path}' has columns of the same name: {', '.join(header)}")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise RequestError(
                f"'{path}', row {number}: {len(row)} values for {len(header)} columns"
            )
    columns = {name: [row[index] for row in body] for index, name in enumerate(header)}
    return CsvTable(path, columns, len(body))


def integers(path: Path, rows: int) -> "NDArray[np.int64]":
    """A table of integers, ``(rows, columns)``: one column per choice.

    Raises:
        RequestError: A value is no integer or too large, or the number of rows is another.
    """
    import numpy as np

    table = read_table(path)
    if table.rows != rows:
        raise RequestError(f"'{path}' has {table.rows} rows, the table of latencies {rows}")
    for name, column in table.columns.items():
        for row, text in enumerate(column):
            if not _INTEGER.fullmatch(text) or abs(int(text)) > LARGEST_GENE:
                raise RequestError(
                    f"'{path}' must hold integers only, a column per choice, up to "
                    f"{LARGEST_GENE}: line {row + 2}, column '{name}' is '{text}'"
                )
    return np.array([[int(text) for text in own] for own in table.columns.values()]).T


def names_of(option: str, text: str) -> list[str]:
    """The names in a list such as ``A,B``.

    Raises:
        RequestError: There is none, or one twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise RequestError(f"{option} is a list of different names such as A,B; received '{text}'")
    return names
