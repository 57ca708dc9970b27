"""Whose turn it is in a profiling session: a function of what is measured, and of nothing else.

No choice depends on the time, on how often a process was started, or on what a
process remembers. So a session that was killed goes on as if it had not been, and
measures the same models together, in the same orders.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from hwnas.export.parts_onnx import Part
from hwnas.profiles import Records
from hwnas.profiling.order import VISIT_MS, InformedOrder
from hwnas.profiling.plan import PartPlan, PlannedNetwork, base_parts
from hwnas.profiling.protocol import Protocol
from hwnas.spaces.space import SearchSpace

PART_SESSIONS = 2
NETWORK_SESSIONS = 4
NETWORKS, PARTS = "networks", "blocks and kernels"


@dataclass(frozen=True)
class Shares:
    """How a session is cut into visits.

    Args:
        networks: Share of the time that whole networks get. It is the larger one: a
            network's number needs several processes, and sums of parts are as good with
            a fifth of the parts (``docs/pricing.md``).
        batch_bytes: Weights, twice, of the networks that one process holds at most, bytes.
        batch_parts: Blocks and kernels that one process holds at most, besides their
            edges; more where a process starts slowly, as on a GPU.
    """

    networks: float = 0.7
    batch_bytes: int = 2**31
    batch_parts: int = 150


@dataclass(frozen=True)
class Turn:
    """What one process measures.

    Args:
        phase: ``NETWORKS`` or ``PARTS``.
        parts: The models.
        definitions: What the profile remembers of them.
        seed: Seed of the visiting order.
    """

    phase: str
    parts: Sequence[Part]
    definitions: dict[str, dict[str, Any]]
    seed: int


def visit_seed(seed: int, keys: Iterable[str], number: int) -> int:
    """A seed that depends on what is measured together, and for which time, only.

    Args:
        seed: The user's.
        keys: The models of the visit.
        number: In how many processes they were seen before.
    """
    text = json.dumps([seed, list(keys), number])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


class Turns:
    """Chooses what is measured next: networks and parts in turn, least seen first.

    Networks come while they had less than their share of the time. Parts are
    visited once, what tells most first, then a second time, in the batches in
    which they were seen.

    Args:
        space: What is measured.
        networks: The networks to measure.
        plan: The parts.
        seed: The user's.
        shares: Sizes of the visits.
    """

    def __init__(
        self,
        space: SearchSpace,
        networks: Sequence[PlannedNetwork],
        plan: PartPlan,
        seed: int,
        shares: Shares | None = None,
    ) -> None:
        self._shares = shares or Shares()
        self._space = space
        self._networks = networks
        self._plan = plan
        self._order = InformedOrder(plan, seed)
        self._seed = seed
        self._part_keys = {*plan.ordered(set()), *plan.general}
        self._passed: Counter[str] = Counter()

    def pass_over(self, keys: Iterable[str]) -> None:
        """Count as seen once what a visit had no time for; forgotten with the process."""
        self._passed.update(keys)

    def next(
        self,
        records: Records,
        *,
        new_parts: bool = True,
        parts_first: bool = True,
        general: bool = True,
    ) -> Turn | None:
        """What to measure next; ``None`` where everything is measured.

        Args:
            records: What is measured.
            new_parts: Whether parts that nobody saw come before second visits to others.
            parts_first: Whether parts come at all before the networks are done; a session
                says so while the budget's share for them lasts.
            general: Whether kernels of all kinds come among those of the space, not only
                when all of these were seen.
        """
        counts = Counter(records.session_counts()) + self._passed
        spent = {NETWORKS: 0.0, PARTS: 0.0}
        own = {item.key for item in self._networks}
        for item in records.observations:
            phase = NETWORKS if item.key in own else PARTS if item.key in self._part_keys else None
            if phase is not None and item.failure is None:
                spent[phase] += VISIT_MS + item.rounds * Protocol().runs * item.median_ms
        networks = self._least_seen(counts)
        due = spent[NETWORKS] <= self._shares.networks * sum(spent.values())
        if networks and (due or not parts_first):
            return self._network_turn(networks, counts)
        first = partial(self._first_visit, general=general)
        turns = (first, self._second_visit)
        for turn in turns if new_parts else reversed(turns):
            found = turn(records, counts)
            if found is not None:
                return found
        if networks:
            return self._network_turn(networks, counts)
        return self._bases_left(records, counts)

    def networks_left(self, records: Records) -> bool:
        """Whether networks are still to be measured."""
        return bool(self._least_seen(Counter(records.session_counts()) + self._passed))

    def _least_seen(self, counts: Mapping[str, int]) -> list[PlannedNetwork]:
        """The networks of the next visit; none where all were seen often enough.

        Each time another mixture: what networks have in common that are measured together
        is told apart from what they take (``profiles/factors.py``).
        """
        least = min((counts[item.key] for item in self._networks), default=NETWORK_SESSIONS)
        if least >= NETWORK_SESSIONS:
            return []
        batch: list[PlannedNetwork] = []
        size = 0
        mixed = np.random.default_rng([self._seed, least]).permutation(len(self._networks))
        for item in (self._networks[i] for i in mixed):
            if counts[item.key] == least:
                size += 8 * item.architecture.parameters
                if batch and size > self._shares.batch_bytes:
                    break
                batch.append(item)
        return batch

    def _network_turn(self, batch: Sequence[PlannedNetwork], counts: Mapping[str, int]) -> Turn:
        return Turn(
            NETWORKS,
            [item.part() for item in batch],
            {item.key: item.definition(self._space) for item in batch},
            visit_seed(self._seed, [item.key for item in batch], counts[batch[0].key]),
        )

    def _first_visit(
        self, records: Records, counts: Mapping[str, int], *, general: bool
    ) -> Turn | None:
        done = {key for key, count in counts.items() if count > 0}
        ordered = self._order.ordered(records, done) if self._part_keys - done else []
        chosen = [] if general else self._standing(ordered)
        # What is left of the space may be kernels that cannot stand alone, which have no model.
        chosen = chosen or self._standing(self._plan.with_general(ordered, done))
        return self._part_turn(chosen, counts, 0)

    def _standing(self, keys: Iterable[str]) -> list[Part]:
        """The first parts with a model, as many as one visit holds."""
        parts = (part for key in keys if (part := self._plan.part(key)) is not None)
        return list(islice(parts, self._shares.batch_parts))

    def _second_visit(self, records: Records, counts: Mapping[str, int]) -> Turn | None:
        once = sorted(
            (item.session, item.key)
            for item in records.observations
            if item.key in self._part_keys and 0 < counts[item.key] < PART_SESSIONS
        )
        together = [key for session, key in once if session == once[0][0]]
        together = together[: self._shares.batch_parts]
        chosen = [part for key in together if (part := self._plan.part(key)) is not None]
        return self._part_turn(chosen, counts, 1)

    def _part_turn(self, chosen: list[Part], counts: Mapping[str, int], number: int) -> Turn | None:
        if not chosen:
            return None
        definitions = {part.key: self._plan.definition(part.key, part) for part in chosen}
        based = {key for key, count in counts.items() if count > number}
        parts = chosen + base_parts((shape for part in chosen for shape in part.edges), based)
        seed = visit_seed(self._seed, [part.key for part in parts], number)
        return Turn(PARTS, parts, definitions, seed)

    def _bases_left(self, records: Records, counts: Mapping[str, int]) -> Turn | None:
        """What seen parts are measured against, where a visit broke off before it was finished."""
        seen = [key for key in sorted(self._part_keys) if counts[key]]
        edges = (
            tuple(shape)
            for key in seen
            for shape in records.definitions.get(key, {}).get("edges", [])
        )
        enough = {key for key, count in counts.items() if count >= PART_SESSIONS}
        left = base_parts(edges, enough) if seen else []
        if not left:
            return None
        keys = [part.key for part in left]
        return Turn(PARTS, left, {}, visit_seed(self._seed, keys, min(counts[k] for k in keys)))
