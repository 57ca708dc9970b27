"""A profiling session: visits to a device within a budget, kept as they are made.

A visit is one worker process that measures one batch. Visits to the networks
and to the parts alternate, so that what one part is made of is spread over the
whole session. After each visit its observations are on disk; a session that is
killed loses seconds of the visit in flight, and the next one goes on.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from hwnas.errors import InterruptedWork
from hwnas.export.bags import SpaceBags
from hwnas.export.parts_onnx import Part
from hwnas.profiles import DeviceProfile
from hwnas.profiling.order import InformedOrder
from hwnas.profiling.plan import PartPlan, PlannedNetwork, base_parts, plan_networks
from hwnas.profiling.protocol import Protocol
from hwnas.profiling.visit import measure
from hwnas.spaces.space import SearchSpace
from hwnas.targets import Target

PART_SESSIONS = 2
NETWORK_SESSIONS = 4
NETWORK_SHARE = 0.35
"""Share of the budget that whole networks get."""

BATCH_BYTES = 256 * 2**20
BATCH_PARTS = 100


@dataclass(frozen=True)
class Progress:
    """Where a session stands.

    Args:
        phase: What is being measured.
        done: Models finished in this visit.
        total: Models of this visit.
        seconds: Since the session began.
        budget_s: The budget.
    """

    phase: str
    done: int
    total: int
    seconds: float
    budget_s: float


OnProgress = Callable[[Progress], None]
Order = Callable[[Collection[str]], list[str]]


class ProfilingSession:
    """Measures a space on a device.

    Args:
        profile: Where the measurements go.
        target: Where they are made.
        space: What is measured.
        budget_s: Time for measuring, seconds.
        networks: How many whole networks to measure at most.
        protocol: How one batch is measured.
        seed: Seed of the networks and of the visiting orders.
        batch_bytes: Weights, twice, of the networks that one process holds at most, bytes;
            half as much is kept here, since making a large model takes a second.
        network_share: Share of the budget that whole networks get; more where building
            their sessions is slow.
        batch_parts: Blocks and kernels that one process holds at most, besides their edges;
            more where a process starts slowly, as on a GPU.
        on_progress: Called often.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        target: Target,
        space: SearchSpace,
        *,
        budget_s: float,
        networks: int = 60,
        protocol: Protocol | None = None,
        seed: int = 0,
        batch_bytes: int = BATCH_BYTES,
        batch_parts: int = BATCH_PARTS,
        network_share: float = NETWORK_SHARE,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._profile = profile
        self._target = target
        self._space = space
        self._budget_s = budget_s
        self._network_count = networks
        self._protocol = protocol or Protocol()
        self._seed = seed
        self._batch_bytes = batch_bytes
        self._batch_parts = batch_parts
        self._share = network_share
        self._kept: dict[str, Part] = {}
        self._kept_bytes = 0
        self._on_progress = on_progress or (lambda progress: None)
        self._begin = time.monotonic()

    def run(self) -> float:
        """Measure until the budget is used or everything is measured.

        Returns:
            Seconds that it took.

        Raises:
            InterruptedWork: Ctrl-C; what was measured is in the profile.
            RuntimeFailure: The device's worker does not start.
        """
        try:
            with self._profile.exclusive():
                self._begin = time.monotonic()
                self._measure()
        except KeyboardInterrupt:
            kept = len(self._profile.read().observations)
            raise InterruptedWork(
                f"interrupted; {kept} observations are kept in '{self._profile.folder}'. "
                "Run the same command with --resume to go on."
            ) from None
        return time.monotonic() - self._begin

    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _measure(self) -> None:
        self._profile.recover()
        # The lock is held, so nobody else writes; reading again for each visit would take
        # longer than measuring.
        self._records = self._profile.read()
        self._number = self._records.next_session()
        counts = self._records.session_counts()
        networks = plan_networks(self._space, self._network_count, self._seed)
        plan = PartPlan(SpaceBags(self._space, self._target.runtime.name), self._seed)
        # One session of each network first: it tells what a visit takes, and
        # gives the judged networks before the budget can end.
        visits = _NetworkVisits(networks, counts, self._batch_bytes)
        informed = InformedOrder(plan, self._seed)
        parts = _PartVisits(
            plan, counts, lambda done: informed.ordered(self._records, done), self._batch_parts
        )
        network_s = 0.0
        while self._elapsed() < self._budget_s:
            networks_turn = network_s <= self._share * self._elapsed()
            if visits.open() and (networks_turn or not parts.open()):
                begin = self._elapsed()
                batch = visits.next()
                share = max(2.0, self._share * self._budget_s / NETWORK_SESSIONS)
                self._visit(
                    "networks",
                    [self._network_part(item) for item in batch],
                    share,
                    {item.key: item.definition(self._space) for item in batch},
                )
                network_s += self._elapsed() - begin
            elif parts.open():
                left = (1 - self._share) * self._budget_s - (self._elapsed() - network_s)
                if not parts.second and left < (1 - self._share) * self._budget_s / 2:
                    parts.turn_back()
                keys = parts.next()
                chosen = [part for key in keys if (part := plan.part(key)) is not None]
                chosen += base_parts(chosen, parts.done_bases)
                parts.done_bases |= {part.key for part in chosen}
                self._visit(
                    "blocks and kernels",
                    chosen,
                    max(2.0, left),
                    {p.key: plan.definition(p.key, p) for p in chosen if p.key in set(keys)},
                )
            else:
                break

    def _network_part(self, network: PlannedNetwork) -> Part:
        """The model of a network, kept for its later visits while there is room."""
        found = self._kept.get(network.key)
        if found is None:
            found = network.part()
            if self._kept_bytes + len(found.model) <= self._batch_bytes // 2:
                self._kept[network.key] = found
                self._kept_bytes += len(found.model)
        return found

    def _visit(
        self,
        phase: str,
        parts: Sequence[Part],
        share_s: float,
        definitions: dict[str, dict[str, object]],
    ) -> None:
        left = min(share_s, self._budget_s - self._elapsed())
        until = time.monotonic() + left
        models = {part.key: part.model for part in parts}

        def report(done: int, total: int) -> None:
            self._on_progress(Progress(phase, done, total, self._elapsed(), self._budget_s))

        report(0, len(models))
        number = self._number
        self._number += 1
        seen = measure(
            self._profile,
            self._target,
            models,
            session=f"s{number:04d}",
            protocol=self._protocol,
            seed=self._seed + number,
            until=until,
            definitions=definitions,
            on_round=report,
        )
        self._records.observations += seen
        self._records.definitions |= definitions


class _NetworkVisits:
    """Which networks still need a session, and how many."""

    def __init__(
        self, networks: list[PlannedNetwork], counts: dict[str, int], batch_bytes: int
    ) -> None:
        self._networks = networks
        self._batch_bytes = batch_bytes
        self._counts = {item.key: counts.get(item.key, 0) for item in networks}

    def open(self) -> bool:
        return any(count < NETWORK_SESSIONS for count in self._counts.values())

    def next(self) -> list[PlannedNetwork]:
        least = min(self._counts.values())
        batch: list[PlannedNetwork] = []
        size = 0
        for item in self._networks:
            if self._counts[item.key] == least:
                size += 8 * item.architecture.parameters
                if batch and size > self._batch_bytes:
                    break
                batch.append(item)
        for item in batch:
            self._counts[item.key] += 1
        return batch


class _PartVisits:
    """First visits to new parts while the budget's first half lasts, then second visits."""

    def __init__(self, plan: PartPlan, counts: dict[str, int], order: Order, batch: int) -> None:
        self._order = order
        self._batch = batch
        self._done = {key for key, count in counts.items() if count > 0}
        once = [key for key in plan.ordered(set()) if counts.get(key, 0) == 1]
        self._again = [once[i : i + batch] for i in range(0, len(once), batch)]
        self.second = not plan.ordered(self._done)
        self.done_bases = {key for key, count in counts.items() if count >= PART_SESSIONS}

    def open(self) -> bool:
        return bool(self._again) or not self.second

    def turn_back(self) -> None:
        """Stop taking new parts; see again those that were seen once."""
        self.second = True
        self.done_bases = set()

    def next(self) -> list[str]:
        if not self.second:
            keys = self._order(self._done)
            first, more = keys[: self._batch], len(keys) > self._batch
            self._done.update(first)
            self._again.append(first)
            if not more:
                self.turn_back()
            return first
        return self._again.pop(0)
