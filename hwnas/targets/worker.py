"""A worker process that runs the agent, and the JSON lines spoken with it."""

import json
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import RuntimeFailure

AGENT = Path(__file__).with_name("agent.py")
START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Loaded:
    """What building a session and its first inference took."""

    build_ms: float
    first_ms: float
    finite: bool


@dataclass(frozen=True)
class Burst:
    """The kept runs of a visit to a model, nanoseconds, and the canary's readings around them.

    A long visit is cut into several, with the canary between them.

    Args:
        key: The model.
        samples_ns: The runs.
        canary_before_ns: The canary's least time before them.
        canary_after_ns: And after them.
        visit: Number of the visit that it is a piece of; ``None`` where it is the whole visit.
    """

    key: str
    samples_ns: tuple[int, ...]
    canary_before_ns: int
    canary_after_ns: int
    visit: int | None = None


@dataclass(frozen=True)
class Window:
    """Inferences in a row: how long it took, and each one's time, nanoseconds."""

    wall_ns: int
    samples_ns: tuple[int, ...]


class Worker:
    """A process of a device with models in it. Use it as a context manager.

    Args:
        command: The command that starts the agent; the path of its status file is added.
        threads: Threads of one inference.
        options: What the engine is told about how to run, such as ``provider``.

    ``inference_s`` is the time that the rounds so far spent in inferences, ``waited_s``
    what they waited for quiet time.
    """

    def __init__(
        self, command: Sequence[str], threads: int, options: Mapping[str, str] | None = None
    ) -> None:
        self._threads = threads
        self._options = dict(options or {})
        self._folder = tempfile.TemporaryDirectory(prefix="hwnas-")
        self._stderr = tempfile.TemporaryFile()
        self._status = Path(self._folder.name) / "status"
        # A group of its own, so that Ctrl-C reaches the host alone and it ends the worker itself.
        self._process = subprocess.Popen(
            [*command, str(self._status)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            # How the host's own threads wait must not change what is measured.
            env={k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"},
        )
        self._buffer = b""
        self._count = 0
        self.inference_s = self.waited_s = 0.0
        try:
            self.hello: dict[str, Any] = self._ask(
                {"do": "hello", "options": self._options}, START_TIMEOUT_S
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(
        self,
        key: str,
        model: bytes,
        *,
        timeout_s: float,
        shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> Loaded:
        """Prepare a model under a key.

        Raises:
            RuntimeFailure: The runtime refuses the model, crashes on it, or takes too long.
        """
        self._count += 1
        path = Path(self._folder.name) / f"{self._count}.onnx"
        path.write_bytes(model)
        answer = self._ask(
            {
                "do": "load",
                "id": key,
                "path": str(path),
                "threads": self._threads,
                "options": self._options,
                "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
            },
            timeout_s,
        )
        path.unlink()
        return Loaded(answer["build_ns"] / 1e6, answer["first_ns"] / 1e6, answer["finite"])

    def round(
        self,
        order: Sequence[str],
        *,
        canary: str,
        runs: int,
        drop: int,
        segment_ns: int,
        timeout_s: float,
        tolerance: float = 0.03,
        quiet_ns: float | None = None,
        patience_ns: float = 0.0,
        number: int = 0,
    ) -> list[Burst]:
        """One visit to each model of ``order``, in that order.

        Args:
            order: The models.
            canary: The model that tells slow time from quiet time.
            runs: Inferences of one visit.
            drop: First inferences of a visit that do not count.
            segment_ns: Time between two readings of the canary.
            timeout_s: Time for all but the waiting.
            tolerance: How much slower than its best the canary is in quiet time, as a share.
            quiet_ns: The canary's best as it is known from elsewhere.
            patience_ns: How long to wait for quiet time in all.
            number: Number of the round; visits are counted through all rounds.

        Raises:
            RuntimeFailure: The worker died or took too long.
        """
        answer = self._ask(
            {
                "do": "round",
                "order": list(order),
                "canary": canary,
                "runs": runs,
                "drop": drop,
                "segment_ns": segment_ns,
                "tolerance": tolerance,
                "quiet_ns": quiet_ns,
                "patience_ns": patience_ns,
            },
            timeout_s + patience_ns / 1e9,
        )
        readings = answer["canary"]
        self.waited_s += answer["waited_ns"] / 1e9
        return [
            Burst(
                key,
                tuple(samples),
                readings[2 * segment],
                readings[2 * segment + 1],
                (number << 20) + visit,
            )
            for key, samples, segment, visit in answer["bursts"]
        ]

    def cold(self, key: str, *, runs: int, flush_mib: int, timeout_s: float) -> tuple[int, ...]:
        """Times of single inferences, nanoseconds, the caches emptied before each.

        Args:
            key: A loaded model.
            runs: How many.
            flush_mib: Memory that is written through to empty them.
            timeout_s: Time for all.

        Raises:
            RuntimeFailure: The worker died or took too long.
        """
        request = {"do": "cold", "id": key, "runs": runs, "flush_mib": flush_mib}
        return tuple(self._ask(request, timeout_s)["samples"])

    def window(self, key: str, *, window_ms: float, timeout_s: float) -> Window:
        """Inferences of a model without a pause, for a while.

        Raises:
            RuntimeFailure: The worker died or took too long.
        """
        request = {"do": "window", "id": key, "window_ns": int(window_ms * 1e6)}
        answer = self._ask(request, timeout_s)
        return Window(answer["wall_ns"], tuple(answer["samples"]))

    @property
    def in_hand(self) -> str | None:
        """The model that the process was last busy with, ``None`` before the first."""
        try:
            return self._status.read_text(encoding="utf-8", errors="replace").strip() or None
        except OSError:
            return None

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeFailure(self._obituary(request)) from None
        answer: dict[str, Any] = json.loads(self._read_line(request, timeout_s))
        self.inference_s = answer.get("inference_ns", 0) / 1e9 or self.inference_s
        if not answer["ok"]:
            raise RuntimeFailure(answer["error"])
        return answer

    def _read_line(self, request: dict[str, Any], timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(timeout_s):
                    self.kill()
                    raise RuntimeFailure(
                        f"the worker did not answer '{request['do']}' within {timeout_s:.0f} s"
                    )
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise RuntimeFailure(self._obituary(request))
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _obituary(self, request: dict[str, Any]) -> str:
        code = self._process.wait()
        cause = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return f"the worker {cause} at '{request['do']}'" + (f": {lines[-1]}" if lines else "")

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and remove what it was given."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        self._folder.cleanup()
