"""Trials that a search left in its journal, as what a learned predictor is fitted on."""

import json
import math
from pathlib import Path

from hwnas.errors import RequestError, StorageError
from hwnas.estimators.encoding import Sample
from hwnas.spaces.space import SearchSpace


def read_trials(path: Path | str, space: SearchSpace) -> tuple[list[Sample], list[float]]:
    """What the trials of a search's journal were, and the accuracies that they reached.

    A torn last line, which a run that was cut off leaves, is passed over; a trial that
    stands twice counts once, as it was written last.

    Args:
        path: ``journal.jsonl`` in the folder of a run.
        space: The space that was searched.

    Returns:
        Samples, with the learning curve where the journal has it, and accuracies, NaN where
        a trial failed.

    Raises:
        RequestError: It is no journal of a search in this space, or its trials were judged
            by different estimators.
        StorageError: It cannot be read.
    """
    path = Path(path)
    try:
        payload = path.read_bytes()
    except FileNotFoundError as error:
        raise RequestError(f"there is no journal '{path}'") from error
    except OSError as error:
        raise StorageError(f"'{path}' cannot be read: {error.strerror}") from error
    lines = payload[: payload.rfind(b"\n") + 1].splitlines()
    try:
        events = [json.loads(line) for line in lines]
        described = json.loads(json.dumps(space.describe()))
        if not events or events[0].get("space") != described:
            raise RequestError(
                f"'{path}' is no journal of a search in space '{space.name}'; give the space "
                "that the run was made with"
            )
        trials = {item["trial"]["number"]: item["trial"] for item in events if "trial" in item}
        judges = {trial["provenance"].get("estimator") for trial in trials.values()}
        if len(judges) > 1:
            raise RequestError(
                f"the trials in '{path}' were judged by different estimators "
                f"({', '.join(sorted(map(str, judges)))}), whose values do not compare"
            )
        samples = [
            Sample(
                space.decode(trial["genotype"]),
                curve=tuple(map(float, trial["provenance"].get("curve", ()))),
            )
            for trial in trials.values()
        ]
        values = [
            math.nan if trial["value"] is None else float(trial["value"])
            for trial in trials.values()
        ]
    # What a garbled line raises depends on where it is garbled.
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"'{path}' is no journal of a search: {error}") from error
    return samples, values
