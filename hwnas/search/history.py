"""What a journal says of a search, without its space, device or data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import RequestError
from hwnas.search.journal import read_events
from hwnas.search.trial import Trial, front_of

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class History:
    """A search so far, also while it runs.

    Args:
        path: The journal.
        header: What the search is.
        trials: What was judged, in order.
        measured_ms: Latencies that devices gave, by device (the first is ``None``) and by the
            numbers of trials.
        breaches: How often bounds were widened since finalists measured above a limit.
    """

    path: Path
    header: dict[str, Any]
    trials: tuple[Trial, ...]
    measured_ms: dict[str | None, dict[int, float]]
    breaches: int

    @classmethod
    def of(cls, run: Path) -> "History":
        """The history of a run's folder.

        Raises:
            RequestError: There is no journal, or it is none of a search.
            StorageError: It cannot be read.
        """
        path = run / JOURNAL
        if not path.exists():
            raise RequestError(f"'{run}' has no {JOURNAL}; give the --run folder of a search")
        events, _ = read_events(path)
        if not events or "limit_ms" not in events[0]:
            raise RequestError(f"'{path}' is no journal of a search; give a search's --run folder")
        trials = [Trial.from_json(event["trial"]) for event in events if "trial" in event]
        measured: dict[str | None, dict[int, float]] = {}
        for event in events:
            for number, latency_ms in event.get("measured", {}).items():
                measured.setdefault(event.get("device"), {})[int(number)] = float(latency_ms)
        return cls(
            path,
            events[0],
            tuple({trial.number: trial for trial in trials}.values()),
            measured,
            sum("margin" in event for event in events),
        )

    @property
    def limit_ms(self) -> float:
        """The limit on the first device."""
        return float(self.header["limit_ms"])

    def front(self) -> list[Trial]:
        """Trials that no other beats in latency and accuracy, by rising latency."""
        return front_of(self.trials)

    def best(self) -> Trial | None:
        """The most accurate trial whose bound is within the limit, if any."""
        good = [t for t in self.trials if t.value is not None and t.high_ms <= self.limit_ms]
        return max(good, key=lambda t: (t.value or 0.0, -t.predicted_ms), default=None)

    def values(self, trial: Trial) -> dict[str, Any]:
        """The values of a trial's choices, by their names."""
        choices = self.header["space"]["choices"].items()
        return {
            name: values[gene] for (name, values), gene in zip(choices, trial.genotype, strict=True)
        }
