"""A profiling session: visits to a device within a budget, kept as they are made.

A visit is one worker process that measures one batch. Visits to the networks
and to the parts alternate, so that what one part is made of is spread over the
whole session. After each visit its observations are on disk; a session that is
killed loses seconds of the visit in flight, and the next one goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hwnas.errors import InterruptedWork
from hwnas.export.bags import SpaceBags
from hwnas.kernels import depends_on_processor
from hwnas.profiles import DeviceProfile, Observation, Records, fusion_of
from hwnas.profiling.plan import PartPlan, plan_networks
from hwnas.profiling.protocol import Protocol, Standing
from hwnas.profiling.turns import (
    NETWORK_SESSIONS,
    NETWORKS,
    PARTS,
    Shares,
    Turn,
    Turns,
)
from hwnas.profiling.visit import visit
from hwnas.spaces.space import SearchSpace
from hwnas.targets import Target


@dataclass(frozen=True)
class Progress:
    """Where a session stands.

    Args:
        phase: What is being measured.
        standing: How far that is.
        seconds: Since the session began.
        budget_s: The budget.
    """

    phase: str
    standing: Standing
    seconds: float
    budget_s: float

    @property
    def text(self) -> str:
        """All of it for people."""
        minutes, seconds = divmod(max(0, round(self.budget_s - self.seconds)), 60)
        return f"{self.phase}, {self.standing.text}, at most {minutes}:{seconds:02d} left"


OnProgress = Callable[[Progress], None]


class ProfilingSession:
    """Measures a space on a device.

    Args:
        profile: Where the measurements go.
        target: Where they are made.
        space: What is measured.
        budget_s: Time for measuring, seconds.
        networks: How many whole networks to measure at most.
        general: How many kernels of all kinds, besides the space's, to measure at most.
        protocol: How one batch is measured.
        informed: Whether the networks to fit on are those that tell most; else random ones.
        seed: Seed of the networks and of the visiting orders.
        shares: How the session is cut into visits.
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
        general: int = 0,
        informed: bool = True,
        protocol: Protocol | None = None,
        seed: int = 0,
        shares: Shares | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._profile = profile
        self._target = target
        self._space = space
        self._budget_s = budget_s
        self._network_count = networks
        self._general = general
        self._informed = informed
        self._protocol = protocol or Protocol()
        self._seed = seed
        self._shares = shares or Shares()
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
        records = self._profile.read()
        bags = SpaceBags(self._space, self._fusion(records))
        networks = plan_networks(
            self._space, self._network_count, self._seed, bags if self._informed else None
        )
        plan = PartPlan(bags, self._seed, self._general)
        turns = Turns(self._space, networks, plan, self._seed, self._shares)
        # Half of the time of the parts is for new ones, the rest for seeing them again.
        parts_s = (1 - self._shares.networks) * self._budget_s
        spent = {NETWORKS: 0.0, PARTS: 0.0}
        while (begin := self._elapsed()) < self._budget_s:
            turn = turns.next(
                records,
                new_parts=spent[PARTS] <= parts_s / 2,
                parts_first=spent[PARTS] < parts_s,
                # The space comes first: a small budget has no room for others.
                general=spent[PARTS] > parts_s / 6,
            )
            if turn is None:
                break
            if turn.phase == NETWORKS:
                share_s = self._shares.networks * self._budget_s / NETWORK_SESSIONS
            elif turns.networks_left(records):
                share_s = parts_s - spent[PARTS]
            else:  # what the networks did not need
                share_s = self._budget_s
            quiet_ms = records.quiet_canary_ms() or None
            name = f"s{records.next_session():04d}"
            seen = self._visit(turn, name, max(2.0, share_s), quiet_ms)
            records.observations += seen
            records.definitions |= turn.definitions
            records.sessions |= {item.session: {} for item in seen}
            if all(item.failure is None for item in seen):
                turns.pass_over({part.key for part in turn.parts} - {item.key for item in seen})
            spent[turn.phase] += self._elapsed() - begin

    def _fusion(self, records: Records) -> str:
        """The name of the fusion rules of the device; a new one is asked what it is."""
        runtime = self._target.runtime.name
        if records.sessions or not depends_on_processor(runtime):
            return records.fusion(runtime)
        with self._target.open() as worker:
            return fusion_of(runtime, worker.hello["conditions"])

    def _visit(
        self, turn: Turn, name: str, share_s: float, quiet_ms: float | None
    ) -> list[Observation]:
        def report(standing: Standing) -> None:
            self._on_progress(Progress(turn.phase, standing, self._elapsed(), self._budget_s))

        return visit(
            self._profile,
            self._target,
            {part.key: part.model for part in turn.parts},
            session=name,
            protocol=self._protocol,
            seed=turn.seed,
            until=time.monotonic() + min(share_s, self._budget_s - self._elapsed()),
            definitions=turn.definitions,
            quiet_ms=quiet_ms,
            on_step=report,
        )
