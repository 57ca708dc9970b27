import pytest

from hwnas.cli.run_parts import TrainingLimits, data_for
from hwnas.errors import RequestError, SpecError
from hwnas.estimators import Budget
from hwnas.spaces import space
from hwnas.training import EarlyStopping


def test_epochs_are_the_usual_ones_unless_operations_alone_count():
    assert TrainingLimits.asked(None, None, None, None, usual=8).budget() == Budget(epochs=8)
    assert TrainingLimits.asked(3, 9.0, None, None, usual=8).budget() == Budget(3, 9.0)
    assert TrainingLimits.asked(None, None, 1e9, 2, usual=8) == TrainingLimits(None, None, 1e9, 2)
    assert TrainingLimits.asked(None, None, 1e9, 2, usual=8).stopping() == EarlyStopping(2)


def test_a_journal_of_epochs_alone_stays_as_it_was():
    assert TrainingLimits(8).header() == {}
    assert TrainingLimits(None, macs=1e9).header() == {"training": {"macs": 1e9}}
    assert TrainingLimits(8, patience=2).header() == {"training": {"patience": 2, "epochs": 8}}


def test_limits_are_checked_before_anything_is_trained():
    with pytest.raises(SpecError, match="patience"):
        TrainingLimits(8, patience=0)
    with pytest.raises(SpecError, match="macs"):
        TrainingLimits(None, macs=-1.0)


def test_data_of_other_classes_are_refused():
    assert data_for(space("micro"), "digits", 0).classes == 10
    with pytest.raises(RequestError, match="has 10 classes.*use --space micro:classes=10"):
        data_for(space("micro:classes=3"), "digits", 0)
