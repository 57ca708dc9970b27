"""``predictor.json``, read with every field checked: a file may have been mended by hand."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import ProfileError, SpecError
from hwnas.predictors.analytical import TERMS
from hwnas.predictors.doubt import ESTIMATES
from hwnas.predictors.features import SUMS, bag_features
from hwnas.profiles import LARGEST_MS

SCHEMA = 4
"""2: kernels have features of channel blocks and columns. 3: intervals know what is new.
4: kernels have analytical costs, which trees correct."""

_SHOWN = 40

Check = Callable[[str, Any], None]


class _FieldError(Exception):
    """A field that is not what it must be."""


def read_saved(path: Path | str) -> dict[str, Any]:
    """The plain values of a saved predictor.

    Args:
        path: The file.

    Raises:
        ProfileError: The file is missing, broken, of another schema, or a field is not what
            :meth:`LatencyPredictor.to_json` writes.
        SpecError: That is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise SpecError(f"a predictor is loaded from the path of a file; received {path!r}")
    path = Path(path)
    name = path.parent.name
    again = f"fit again with 'hwnas fit {name}'"
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_not_finite)
        if not isinstance(value, dict) or "schema" not in value:
            raise _FieldError("it is no object with a schema")
        if type(value["schema"]) is not int or value["schema"] != SCHEMA:
            shown = _short(value["schema"])
            raise ProfileError(f"'{path}' has schema {shown}, this hwnas knows {SCHEMA}: {again}")
        _PREDICTOR("", value)
    except FileNotFoundError as error:
        raise ProfileError(
            f"'{name}' has no fitted predictor; run 'hwnas profile {name} --space SPACE' or "
            f"'hwnas fit {name}'"
        ) from error
    except (_FieldError, OSError, ValueError) as error:
        raise ProfileError(f"'{path}' is broken ({error}); {again}") from error
    except RecursionError as error:
        raise ProfileError(f"'{path}' is broken (nested too deep); {again}") from error
    return value


def _not_finite(token: str) -> float:
    raise ValueError(f"{token} is no number of JSON")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _refuse(field: str, wanted: str, value: Any) -> _FieldError:
    return _FieldError(f"{field} must be {wanted}, received {_short(value)}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _number(field: str, value: Any) -> None:
    if not _is_number(value):
        raise _refuse(field, "a finite number", value)


def _not_negative(field: str, value: Any) -> None:
    if not _is_number(value) or value < 0:
        raise _refuse(field, "a finite number, not negative", value)


def _time_ms(field: str, value: Any) -> None:
    if not _is_number(value) or not 0 < value <= LARGEST_MS:
        raise _refuse(field, f"a time above 0 and at most {LARGEST_MS:g} ms", value)


def _positive(field: str, value: Any) -> None:
    if not _is_number(value) or value <= 0:
        raise _refuse(field, "a finite number above 0", value)


def _text(field: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _refuse(field, "a text", value)


def _scale(field: str, value: Any) -> None:
    """Spreads of features: of none measured it is one number for all."""
    (_list(_positive, FEATURES) if isinstance(value, list) else _positive)(field, value)


def _or_null(check: Check) -> Check:
    def checked(field: str, value: Any) -> None:
        if value is not None:
            check(field, value)

    return checked


def _list(check: Check, length: int | None = None) -> Check:
    def checked(field: str, value: Any) -> None:
        if not isinstance(value, list) or length not in (None, len(value)):
            wanted = "a list" if length is None else f"a list of {length}"
            raise _refuse(field, wanted, value)
        for index, item in enumerate(value):
            check(f"{field}[{index}]", item)

    return checked


def _table(check: Check) -> Check:
    def checked(field: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _refuse(field, "an object", value)
        for key, item in value.items():
            check(f"{field}['{key}']", item)

    return checked


def _object(checks: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    def checked(field: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _refuse(field, "an object", value)
        for key, check in checks.items():
            if key not in value:
                raise _FieldError(f"{_inside(field, key)} is missing")
            check(_inside(field, key), value[key])
        for key, check in (optional or {}).items():
            if key in value:
                check(_inside(field, key), value[key])

    return checked


def _kinds(field: str, value: Any) -> None:
    """Rates by kind of kernel; those of all kernels, the kind without a name, are always there."""
    rates = _list(_not_negative, len(TERMS))
    _object({"": rates})(field, value)
    _table(rates)(field, value)


def _inside(field: str, key: str) -> str:
    return f"{field}.{key}" if field else key


FEATURES = bag_features(np.ones((1, len(SUMS)))).shape[1]
"""Features of a bag, which a residual's vectors have one number each of."""

_VECTOR = _list(_number, FEATURES)
_LINE = _object({"low": _VECTOR, "high": _VECTOR, "weights": _VECTOR, "intercept": _number})
_NOVELTY_FIELDS = _object(
    {
        "known": _list(_VECTOR),
        "centre": _VECTOR,
        "scale": _scale,
        "reach": _list(_not_negative),
    }
)


def _novelty(field: str, value: Any) -> None:
    """What is known, and how far each of it reaches."""
    _NOVELTY_FIELDS(field, value)
    _list(_not_negative, len(value["known"]))(_inside(field, "reach"), value["reach"])


_RESIDUAL = _object(
    {
        "scale": _number,
        "range": _list(_number, 2),
        "out_of_fold": _list(_number),
        "trees": _or_null(_text),
        "novelty": _novelty,
        "foreign": _list(_list(_number)),
        "common": _or_null(_number),
    },
    optional={"line": _or_null(_LINE)},
)
_COST = _object({"rates": _kinds, "least_ms": _positive})
_KERNELS = _object(
    {
        "table": _table(_time_ms),
        "families": _list(_text),
        "roofline": _list(_not_negative, 3),
        "trees": _or_null(_text),
        "cost": _or_null(_COST),
    }
)
_DOUBT = _object(
    {
        "errors": _object({name: _list(_list(_number)) for name in ESTIMATES}),
        "usual": _list(_number, len(ESTIMATES)),
    }
)
_PREDICTOR = _object(
    {
        "call_ms": _time_ms,
        "kernels": _KERNELS,
        "blocks_ms": _table(_time_ms),
        "block_residual": _RESIDUAL,
        "network_residual": _RESIDUAL,
        "model_residual": _RESIDUAL,
        "doubt": _DOUBT,
    },
    optional={"fitted_on": _or_null(_text)},
)
