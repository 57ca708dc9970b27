"""A search as a study of Optuna's, for its dashboard. The only file that imports optuna."""

import os
import warnings
from pathlib import Path
from typing import Any

from hwnas.errors import MissingExtraError, RequestError, StorageError
from hwnas.search.history import History


def export_to_optuna(history: History, path: Path, name: str) -> int:
    """Write a journal file of Optuna's: accuracy to maximise, predicted latency to minimise.

    Every choice is a categorical parameter; failed trainings are failed trials; the upper bound
    of the latency less its limit is the trial's constraint. ``optuna-dashboard FILE`` shows it.

    Args:
        history: The search.
        path: The file to write; none may be there.
        name: Name of the study.

    Returns:
        How many trials were written.

    Raises:
        MissingExtraError: optuna is not installed.
        RequestError: The file exists.
        StorageError: It cannot be written.
    """
    try:
        import optuna
        from optuna.distributions import BaseDistribution, CategoricalDistribution
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState, create_trial
    except ImportError as error:
        raise MissingExtraError(
            "a study of Optuna's is written by optuna, which is not installed; install it with "
            "pip install 'hwnas[optuna]'"
        ) from error

    if path.exists():
        raise RequestError(f"'{path}' exists; give a file that does not")
    distributions: dict[str, BaseDistribution] = {
        choice: CategoricalDistribution(values)
        for choice, values in history.header["space"]["choices"].items()
    }
    measured = history.measured_ms.get(None, {})
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = JournalStorage(JournalFileBackend(str(unfinished)))
        study = optuna.create_study(
            storage=storage, study_name=name, directions=["maximize", "minimize"]
        )
        with warnings.catch_warnings():
            # Optuna calls names of metrics an experiment, since version 3.2.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(["accuracy", "latency_ms"])
        for key in ("device", "data", "limit_ms", "quantile", "seed", "limits"):
            if key in history.header:
                study.set_user_attr(key, history.header[key])
        for trial in history.trials:
            attributes: dict[str, Any] = {
                "strategy": trial.strategy,
                "low_ms": trial.low_ms,
                "high_ms": trial.high_ms,
                "seconds": trial.seconds,
                **trial.provenance,
            }
            if trial.number in measured:
                attributes["measured_ms"] = measured[trial.number]
            study.add_trial(
                create_trial(
                    state=TrialState.FAIL if trial.value is None else TrialState.COMPLETE,
                    values=None if trial.value is None else [trial.value, trial.predicted_ms],
                    params=history.values(trial),
                    distributions=distributions,
                    user_attrs=attributes,
                    system_attrs={"constraints": [trial.high_ms - history.limit_ms]},
                )
            )
        unfinished.replace(path)
    except OSError as error:
        raise StorageError(f"'{path}' cannot be written: {error.strerror}") from error
    finally:
        optuna.logging.set_verbosity(verbosity)
        unfinished.unlink(missing_ok=True)
    return len(history.trials)
