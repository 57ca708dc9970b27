"""The measuring protocol for one batch of models in one worker process.

Rounds visit every model once, in a random order, with a canary between the
visits; the first runs of a visit are dropped; only visits between quiet
readings of the canary count. Why: ``docs/design.md``.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hwnas.errors import RuntimeFailure
from hwnas.export.parts_onnx import canary_model
from hwnas.profiles import Observation
from hwnas.profiling.statistics import accepted, precise, quiet_time, slowness, visits
from hwnas.targets import Burst, Loaded, Worker

CANARY = "canary"
LAST = 3
"""Times the visits after which a model is done that was seldom accepted."""


@dataclass(frozen=True)
class Protocol:
    """How a batch is measured.

    Args:
        runs: Inferences of one visit.
        drop: First inferences of a visit that do not count.
        segment_ms: Time between two readings of the canary.
        tolerance: How much slower than its best the canary may be, as a share.
        agreement: Stop at a model when its three least values agree within this share …
        least_rounds: … and this many visits were accepted.
        most_rounds: Visits after which it stops in any case, if that many were accepted;
            otherwise after ``LAST`` times as many.
        patience: Time for waiting until the device is quiet, as a multiple of the time
            in inferences …
        patience_s: … and seconds on top.
        cold_runs: Inferences with cold caches, after the rounds; none where it is 0.
        flush_mib: Memory written through to empty the caches.
        timeout_s: Time for loading one model, and for one round beyond what it should take.
    """

    runs: int = 7
    drop: int = 2
    segment_ms: float = 20.0
    tolerance: float = 0.03
    agreement: float = 0.005
    least_rounds: int = 8
    most_rounds: int = 40
    cold_runs: int = 0
    flush_mib: int = 64
    timeout_s: float = 60.0
    patience: float = 4.0
    patience_s: float = 5.0


@dataclass(frozen=True)
class Standing:
    """How far a batch is.

    Args:
        models: Models of the batch.
        loaded: Those that were loaded, or refused.
        rounds: Rounds that were made.
        done: Models that are finished, or failed.
        most_rounds: Rounds after which all are finished.
    """

    models: int
    loaded: int = 0
    rounds: int = 0
    done: int = 0
    most_rounds: int = 1

    @property
    def share(self) -> float:
        """0 to 1, never less than before; loading counts a tenth."""
        still_open = self.models - self.done
        rounds = (self.done + still_open * self.rounds / self.most_rounds) / max(1, self.models)
        return 0.1 * self.loaded / max(1, self.models) + 0.9 * min(1.0, rounds)

    @property
    def text(self) -> str:
        """It for people."""
        if not self.rounds:
            return f"loading {self.loaded}/{self.models}"
        return f"round {self.rounds}, {self.done}/{self.models} done"


OnStep = Callable[[Standing], None]


class Batch:
    """Models measured together in one worker process.

    Args:
        worker: The process.
        session: Its name in the profile.
        protocol: How to measure.
        seed: Seed of the visiting order.
        quiet_ms: The canary's quiet time as it is known from other processes.
    """

    def __init__(
        self,
        worker: Worker,
        session: str,
        protocol: Protocol,
        seed: int,
        quiet_ms: float | None = None,
    ) -> None:
        self._quiet_ns = None if quiet_ms is None else 1e6 * quiet_ms
        self._worker = worker
        self._session = session
        self._protocol = protocol
        self._rng = np.random.default_rng(seed)
        self._loaded: dict[str, Loaded] = {}
        self._bursts: dict[str, list[Burst]] = {}
        self._cold_ms: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self._finished: set[str] = set()
        self._models = 0
        self._rounds = 0
        self._canary_ns = float("inf")

    def load(
        self,
        models: Mapping[str, bytes],
        *,
        until: float = float("inf"),
        shapes: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        """Prepare models; one that the runtime refuses is recorded as failed.

        Args:
            models: Serialised ONNX by part.
            until: Monotonic time after which no further model is loaded.
            shapes: For a part, the shapes of inputs that its model leaves open.
            on_step: Called after each model.

        Raises:
            RuntimeFailure: The worker died, which ends the batch; the part that
                ended it is recorded as failed.
        """
        self._worker.load(CANARY, canary_model(), timeout_s=self._protocol.timeout_s)
        self._models = len(models)
        for key, model in models.items():
            if time.monotonic() > until:
                break
            try:
                loaded = self._worker.load(
                    key, model, timeout_s=self._protocol.timeout_s, shapes=(shapes or {}).get(key)
                )
            except RuntimeFailure as error:
                self._failures[key] = str(error)
                if not self._worker.alive:
                    raise
                continue
            if loaded.finite:
                self._loaded[key] = loaded
                self._bursts[key] = []
            else:
                self._failures[key] = "the outputs are not finite (NaN or infinity)"
            if on_step is not None:
                on_step(self._standing())

    def run(self, *, until: float, on_step: OnStep | None = None) -> None:
        """Rounds until every model is precise, or has had its visits, or time is up.

        Args:
            until: Monotonic time at which to stop; one round is done in any case.
            on_step: Called after each round.
        """
        open_keys = list(self._loaded)
        while open_keys:
            order = [open_keys[i] for i in self._rng.permutation(len(open_keys))]
            for burst in self._round(order, until):
                # A clock that jumped back gives times that are not positive.
                readings = (burst.canary_before_ns, burst.canary_after_ns)
                if min(*readings, *burst.samples_ns) > 0:
                    self._bursts[burst.key].append(burst)
                    self._canary_ns = min(self._canary_ns, *readings)
            self._rounds += 1
            open_keys = [key for key in open_keys if not self._done(key)]
            self._finished = set(self._loaded) - set(open_keys)
            if on_step is not None:
                on_step(self._standing())
            if time.monotonic() > until:
                break

    def _standing(self) -> Standing:
        known = len(self._failures)
        return Standing(
            self._models,
            len(self._loaded) + known,
            self._rounds,
            len(self._finished) + known,
            self._protocol.most_rounds,
        )

    def _done(self, key: str) -> bool:
        """Whether a model is precise, or had its visits."""
        protocol = self._protocol
        minima = [min(burst.samples_ns) for burst in self._accepted(key)]
        most = (1 if len(minima) >= protocol.least_rounds else LAST) * protocol.most_rounds
        return self._rounds >= most or precise(minima, protocol.agreement, protocol.least_rounds)

    def _patience_s(self, until: float) -> float:
        """How long the next round may wait for quiet time."""
        protocol, worker = self._protocol, self._worker
        allowed = protocol.patience_s + protocol.patience * worker.inference_s
        return max(0.0, min(allowed - worker.waited_s, until - time.monotonic()))

    def _round(self, order: Sequence[str], until: float) -> list[Burst]:
        protocol = self._protocol
        expected = sum(self._loaded[key].first_ms for key in order) / 1e3 * protocol.runs
        with self._blamed():
            return self._worker.round(
                order,
                canary=CANARY,
                runs=protocol.runs,
                drop=protocol.drop,
                segment_ns=int(protocol.segment_ms * 1e6),
                timeout_s=protocol.timeout_s + 5 * expected,
                tolerance=protocol.tolerance,
                quiet_ns=self._quiet_ns,
                patience_ns=1e9 * self._patience_s(until),
                number=self._rounds,
            )

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Record the model in hand as failed where running it fails, hangs or kills the worker."""
        try:
            yield
        except RuntimeFailure as error:
            culprit = self._worker.in_hand
            if culprit in self._loaded:
                self._failures[culprit] = str(error)
                del self._loaded[culprit], self._bursts[culprit]
                self._finished.discard(culprit)
            raise

    def cold(self, *, until: float) -> None:
        """Inferences with cold caches, of every model, as the protocol asks.

        Args:
            until: Monotonic time after which no further model is visited.
        """
        protocol = self._protocol
        for key, loaded in list(self._loaded.items()) if protocol.cold_runs else []:
            if time.monotonic() > until:
                break
            timeout_s = protocol.timeout_s + protocol.cold_runs * loaded.first_ms / 1e3
            with self._blamed():
                samples = self._worker.cold(
                    key,
                    runs=protocol.cold_runs,
                    flush_mib=protocol.flush_mib,
                    timeout_s=timeout_s,
                )
            positive = [sample for sample in samples if sample > 0]
            if positive:
                self._cold_ms[key] = float(np.median(positive)) / 1e6

    @property
    def failed(self) -> set[str]:
        """Models that the runtime refused, or that failed, hung or killed the worker."""
        return set(self._failures)

    def _accepted(self, key: str) -> list[Burst]:
        return accepted(self._bursts[key], self._canary_ns, self._protocol.tolerance)

    def observations(self, *, unfinished: bool = True) -> list[Observation]:
        """What was seen; models without a single visit are left out.

        Args:
            unfinished: Whether those are given for which more visits were to come.
        """
        found = [
            Observation(key, self._session, failure=reason)
            for key, reason in self._failures.items()
        ]
        for key, bursts in self._bursts.items():
            if not bursts or not (unfinished or key in self._finished):
                continue
            kept = self._accepted(key)
            # With no quiet round there is a number all the same; that none was
            # accepted is what makes it unstable.
            used = kept or visits(bursts)
            minima = [min(burst.samples_ns) for burst in used]
            point, low, high = quiet_time(minima, slowness(used, self._canary_ns))
            samples = [sample for burst in bursts for sample in burst.samples_ns]
            loaded = self._loaded[key]
            found.append(
                Observation(
                    key,
                    self._session,
                    point / 1e6,
                    low / 1e6,
                    high / 1e6,
                    float(np.median(samples)) / 1e6,
                    loaded.first_ms,
                    loaded.build_ms,
                    self._cold_ms.get(key),
                    len(visits(bursts)),
                    len(kept),
                    self._canary_ns / 1e6,
                )
            )
        return found
