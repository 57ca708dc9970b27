"""The closed loop: finalists measured on every device of a search, breaches fed back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwnas.cli.common import note, target_of
from hwnas.cli.deploy import measured_architectures
from hwnas.cli.profile import check_here
from hwnas.cli.run_parts import opened, predictor_of
from hwnas.errors import RequestError
from hwnas.predictors import SpacePredictor
from hwnas.profiles import DeviceProfile
from hwnas.search import LatencyConstraint, Study, Trial
from hwnas.search.constraint import rows
from hwnas.search.limits import CostLimit, DeviceLimit, Limit
from hwnas.spaces import SearchSpace
from hwnas.spaces.limited import LimitedSpace

FINALISTS = 3
EXTRA_ROUNDS = 2


@dataclass(frozen=True)
class Held:
    """A device that a search is held to.

    Args:
        name: Its name.
        profile: What was measured on it.
        predictor: For the space that is searched.
        constraint: The limit on it.
        further: Whether it stands beside the search's first device.
    """

    name: str
    profile: DeviceProfile
    predictor: SpacePredictor
    constraint: LatencyConstraint
    further: bool

    @property
    def key(self) -> str | None:
        """What a study knows it by."""
        return self.name if self.further else None


def held_devices(
    space: SearchSpace,
    first: tuple[str, float],
    further: Sequence[tuple[str, float]],
    costs: dict[str, float],
    *,
    quantile: float,
    force: bool,
) -> list[Held]:
    """The devices of a search with their limits, the first holding all others.

    Args:
        space: What is searched.
        first: Name of the device, and its limit, ms.
        further: The same of further devices.
        costs: Limits of what needs no device; those of the space itself come on top.
        quantile: Probability with which latencies stay within.
        force: Go on although a profile is of another version.

    Raises:
        ProfileError: A device has no profile or predictor.
        RequestError: A limit is no positive number, or a device stands twice.
    """
    names = [name for name, _ in (first, *further)]
    if len(set(names)) < len(names):
        raise RequestError(f"a device stands twice in {', '.join(names)}; give each one limit")
    found = []
    own = dict(space.limits) if isinstance(space, LimitedSpace) else {}
    for name, limit in costs.items():
        own[name] = min(limit, own.get(name, limit))
    others: list[Limit] = [CostLimit(space, name, limit) for name, limit in own.items()]
    for name, limit_ms in further:
        held = _held(space, name, limit_ms, (), quantile=quantile, force=force, further=True)
        found.append(held)
        others.append(DeviceLimit(name, held.constraint))
    return [_held(space, *first, others, quantile=quantile, force=force, further=False), *found]


def _held(
    space: SearchSpace,
    name: str,
    limit_ms: float,
    others: Sequence[Limit],
    *,
    quantile: float,
    force: bool,
    further: bool,
) -> Held:
    profile = opened(name)
    predictor = predictor_of(profile, space)
    check_here(profile, target_of(profile), force=force)
    constraint = LatencyConstraint(predictor, limit_ms, quantile, others)
    return Held(name, profile, predictor, constraint, further)


class ClosedLoop:
    """Searches, measures the best, and searches on where one breaks a limit.

    Args:
        space: What is searched.
        study: Its trials.
        devices: All devices, the study's first.
    """

    def __init__(self, space: SearchSpace, study: Study, devices: Sequence[Held]) -> None:
        self.space = space
        self.study = study
        self.devices = tuple(devices)

    def run(self, search: Callable[[float], None]) -> tuple[Trial, dict[str, float]]:
        """The best trial that every device runs within its limit, and its latencies there, ms.

        Where none does after ``EXTRA_ROUNDS`` more rounds, the one nearest to its limits.

        Args:
            search: Makes trials, given a factor of the time and trials that were asked for.

        Raises:
            RequestError: No trial could be judged.
        """
        for extra in range(1 + EXTRA_ROUNDS):
            search(1 + 0.5 * extra)
            finalists = self._finalists()
            measured = self._measured(finalists)
            for trial in finalists:
                if self._share(trial, measured) <= 1:
                    return trial, measured[trial.number]
            self._tighten(finalists, measured)
        nearest = min(finalists, key=lambda trial: self._share(trial, measured))
        return nearest, measured[nearest.number]

    def _finalists(self) -> list[Trial]:
        ranked = self.study.ranked()
        if not ranked:
            raise RequestError(
                "no trial could be judged within the budget; give a larger --budget or more "
                "--trials"
            )
        good = [t for t in ranked if self.study.constraint.feasible(rows([t.genotype]))[0]]
        return good[:FINALISTS] or ranked[-1:]

    def _measured(self, finalists: Sequence[Trial]) -> dict[int, dict[str, float]]:
        """Latencies, ms, by trial and device; those that an earlier run measured stand."""
        found: dict[int, dict[str, float]] = {trial.number: {} for trial in finalists}
        for held in self.devices:
            known = self.study.measured_on(held.key)
            if any(trial.number not in known for trial in finalists):
                networks = {str(t.number): self.space.decode(t.genotype) for t in finalists}
                new = measured_architectures(held.profile, networks)
                self.study.remember_measured({int(k): ms for k, ms in new.items()}, held.key)
            for trial in finalists:
                found[trial.number][held.name] = self.study.measured_on(held.key)[trial.number]
        return found

    def _share(self, trial: Trial, measured: dict[int, dict[str, float]]) -> float:
        """The largest share of a limit that a trial was measured to take."""
        own = measured[trial.number]
        return max(own[held.name] / held.constraint.limit_ms for held in self.devices)

    def _tighten(self, finalists: Sequence[Trial], measured: dict[int, dict[str, float]]) -> None:
        """Widen the bounds of every device on which all finalists' worst was above its bound."""
        for held in self.devices:
            limit_ms = held.constraint.limit_ms
            if all(measured[t.number][held.name] <= limit_ms for t in finalists):
                continue
            worst = max(
                measured[t.number][held.name]
                / float(held.constraint.latency_upper_ms(rows([t.genotype]))[0])
                for t in finalists
            )
            where = f" on {held.name}" if held.further else ""
            note(
                f"the best {len(finalists)} measured above the limit{where}; the bounds are "
                f"widened by {100 * (max(1.0, worst) - 1):.1f} % and the search goes on"
            )
            self.study.tighten(max(1.0, worst), held.key)
