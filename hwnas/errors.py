"""The tree of errors; the class decides the exit code of the command line.

HwnasError
├── RequestError (2)          the request is wrong: fix it and ask again
│   ├── UnknownNameError      a space, device, strategy … that does not exist
│   ├── SpecError             a block, layer or space that cannot be built
│   ├── ModelFileError        a file that is not a usable ONNX model
│   ├── ShapeError            a model whose shapes are not known or do not fit
│   ├── DataError             a data set that cannot be learned from
│   ├── ProfileError          a device profile that is missing, broken or too small
│   ├── MissingExtraError     an optional dependency that is not installed
│   └── InfeasibleLimitError  no architecture of the space meets the limit
├── WorkError (1)             something failed while working
│   ├── StorageError          a disk that is full or read-only
│   ├── RuntimeFailure        the runtime or its worker process failed
│   ├── DivergedError         training that did not stay finite
│   └── InterruptedWork       Ctrl-C; what is kept is said
└── PromiseError (3)          done, but a promise is not kept
"""

import difflib
from collections.abc import Iterable, Sequence


class HwnasError(Exception):
    """Base of all errors that hwnas raises on purpose."""

    exit_code = 1


class RequestError(HwnasError):
    """The request is wrong: what was received, what is allowed, what to do."""

    exit_code = 2


class SpecError(RequestError):
    """A block, layer or space that cannot be built as specified."""


class ModelFileError(RequestError):
    """A file that is not a usable ONNX model."""


class ShapeError(RequestError):
    """Shapes that are unknown, not static, or do not fit together."""


class DataError(RequestError):
    """A data set that is missing, empty, or cannot be learned from."""


class ProfileError(RequestError):
    """A device profile that is missing, broken, or too small for the request."""


class MissingExtraError(RequestError):
    """An optional dependency that is not installed."""


class InfeasibleLimitError(RequestError):
    """No architecture of the space meets the latency limit.

    Args:
        message: What is wrong and what to do.
        lowest_ms: The lowest latency bound that the space can reach.
        genotype: The genes of the architecture that reaches it.
    """

    def __init__(self, message: str, lowest_ms: float, genotype: tuple[int, ...]) -> None:
        super().__init__(message)
        self.lowest_ms = lowest_ms
        self.genotype = genotype


class UnknownNameError(RequestError):
    """A name that does not exist.

    Args:
        what: The kind of thing, for example ``"space"``.
        name: The name that was asked for.
        known: The names that exist; the closest are suggested.
        advice: What to do when the name is meant to be new.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], advice: str = "") -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        message = f"there is no {what} named '{name}'"
        if close:
            message += f"; did you mean {' or '.join(close)}?"
        else:
            message += "."
        message += f" Known: {', '.join(names)}." if names else f" No {what} is known yet."
        super().__init__(f"{message} {advice}".rstrip())
        self.close = close


class WorkError(HwnasError):
    """Something failed while working."""


class StorageError(WorkError):
    """A file could not be written or read: the disk is full, or not writable."""


class RuntimeFailure(WorkError):
    """The runtime, or the worker process that holds it, failed."""


class DivergedError(WorkError):
    """Training whose loss or outputs did not stay finite.

    Args:
        message: What is not finite and what to do.
        curve: Validation accuracies of the epochs before.
        seconds: Time of these epochs.
    """

    def __init__(self, message: str, curve: Sequence[float] = (), seconds: float = 0.0) -> None:
        super().__init__(message)
        self.curve = tuple(curve)
        self.seconds = seconds


class InterruptedWork(WorkError):
    """The work was interrupted; the message says what is kept."""


class PromiseError(HwnasError):
    """The work is done, but a promise is not kept (a limit, a parity check)."""

    exit_code = 3
