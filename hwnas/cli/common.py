"""What all commands share: output for people and for scripts, durations, progress."""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from hwnas.errors import ProfileError, RequestError

if TYPE_CHECKING:
    from hwnas.predictors import LatencyPredictor
    from hwnas.profiles import DeviceProfile
    from hwnas.targets import Target

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Budget = Annotated[str, typer.Option("--budget", help="Time to use, such as 90s, 10m, 2h.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what an earlier run left.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of everything random.")
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Go on although runtime, version or threads are not the same."),
]
TrainTime = Annotated[
    str | None,
    typer.Option("--train-time", help="Time of one training at most, such as 30s, 5m."),
]
TrainMacs = Annotated[
    float | None,
    typer.Option(
        "--train-macs",
        help="Multiply-accumulates of one training, such as 2e12, three times the forward pass "
        "for each image seen; without --epochs they alone count.",
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        "--patience",
        min=1,
        help="End a training after so many epochs without improvement, and take the best.",
    ),
]
DeviceName = Annotated[str, typer.Option("--device", help="Name of a device.")]


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    # A file or a pipe has no width; a table must not be cut to one of 80 columns there.
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=120)


messages = _console(stderr=True)
output = _console(stderr=False)


def folder_path(text: str) -> Path:
    """The path of a folder; an empty text is not the current one.

    Raises:
        RequestError: The text is empty.
    """
    if not str(text).strip():
        raise RequestError("a folder's name is empty; '.' is the current folder")
    return Path(text)


def target_of(profile: "DeviceProfile") -> "Target":
    """Where the device of a profile runs models.

    Raises:
        UnknownNameError: Its runtime or transport does not exist here.
    """
    from hwnas.runtimes import runtime
    from hwnas.targets import target

    device = profile.device
    return target(runtime(device.runtime), device.transport, device.threads, device.told)


def check_device(profile: "DeviceProfile") -> None:
    """Refuse a profile whose ``device.toml`` was changed after it was measured.

    Raises:
        RequestError: No session was measured with its runtime, threads, precision or provider.
    """
    from hwnas.profiles.conditions import check_device as check
    from hwnas.profiles.freshness import sessions

    check(profile.device.name, sessions(profile.folder), profile.device.conditions)


def fitted_predictor(profile: "DeviceProfile") -> "LatencyPredictor":
    """The fitted predictor of a device; a warning where it knows other measurements.

    Raises:
        ProfileError: The device has no predictor, or it is broken.
        RequestError: ``device.toml`` was changed after it was measured.
    """
    from hwnas.predictors import LatencyPredictor
    from hwnas.profiles.freshness import digest

    check_device(profile)
    name = profile.device.name
    predictor = LatencyPredictor.load(profile.predictor_path)
    try:
        stale = predictor.fitted_on_ != digest(profile.folder)
    except ProfileError as error:
        note(f"warning: whether the predictor of '{name}' is up to date is not known: {error}")
        return predictor
    if stale:
        note(
            f"warning: the predictor of '{name}' was fitted on other measurements than are there "
            f"now; run 'hwnas fit {name}'"
        )
    return predictor


def plain(text: object) -> Text:
    """Text that a user gave, for a table: its square brackets are no markup."""
    return Text(str(text))


def seconds(text: str) -> float:
    """Seconds of a time such as ``90s``, ``10m`` or ``2h``.

    Raises:
        RequestError: The text is not such a time.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        value = float(text[:-1]) * units[text[-1]]
    except (ValueError, KeyError, IndexError):
        value = math.nan
    if not value > 0 or math.isinf(value):
        raise RequestError(
            f"a time is a positive number and s, m or h, such as 90s; received '{text}'"
        )
    return value


def finite(value: Any) -> Any:
    """The value with every number that JSON cannot hold replaced by ``None``."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def print_json(value: dict[str, Any]) -> None:
    """Write the one JSON document of a command to standard output."""
    sys.stdout.write(json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """A message for people, on standard error."""
    messages.print(text, markup=False, soft_wrap=True)


LINE_S = 15.0
"""Time between two plain lines about progress, at most."""


class Bar:
    """A progress bar; plain lines every few seconds where the output is not a terminal."""

    def __init__(self, progress: Progress | None, label: str) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(label, total=1.0)
        self._label = label
        self._share, self._said, self._at = 0.0, -1.0, 0.0

    def update(self, share: float, label: str | None = None) -> None:
        """Show a share, 0 to 1, and what is being done."""
        self._share, self._label = share, label or self._label
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=share, description=self._label)
        elif share - self._said >= 0.25 or time.monotonic() - self._at > LINE_S:
            self._said, self._at = share, time.monotonic()
            note(f"{self._label}: {100 * share:.0f} %")

    def say(self, label: str) -> None:
        """Show what is being done, where the share does not change for long."""
        self.update(self._share, label)


_shown: list[Bar] = []
"""The bars that are open, innermost last."""


def say(text: str) -> None:
    """Tell the innermost bar what is being done; nobody where none is open."""
    if _shown:
        _shown[-1].say(text)


@contextmanager
def progress(label: str) -> Iterator[Bar]:
    """A progress bar with the time left, on standard error."""
    if not messages.is_terminal:
        with _open(Bar(None, label)) as shown:
            yield shown
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=messages,
    ) as bar:
        with _open(Bar(bar, label)) as shown:
            yield shown


@contextmanager
def _open(bar: Bar) -> Iterator[Bar]:
    _shown.append(bar)
    try:
        yield bar
    finally:
        _shown.remove(bar)
