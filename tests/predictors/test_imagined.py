import numpy as np
import pytest
from scipy.stats import spearmanr

from hwnas.errors import RequestError
from hwnas.predictors.candidates import Candidates
from hwnas.predictors.imagined import LEAST_SHARE, ImaginedDevices
from hwnas.predictors.transfer import FewShot


@pytest.fixture
def counts():
    return np.random.default_rng(0).integers(0, 5, (300, 4)).astype(float)


def test_devices_are_rising_in_every_count_and_repeatable(counts):
    logs = np.log(2 + counts @ np.array([[1.0, 2, 3, 0.5], [2, 1, 3, 0.1]]).T)
    devices = ImaginedDevices(logs, [counts])
    rows = np.arange(20)
    said = devices.logs(rows)
    assert said.shape == (20, devices.count) and np.isfinite(said).all()
    np.testing.assert_array_equal(said, ImaginedDevices(logs, [counts]).logs(rows))
    np.testing.assert_allclose(devices.logs(rows, np.array([7, 3])), said[:, [7, 3]])
    everything = devices.logs(slice(None), np.arange(5))
    np.testing.assert_allclose(everything[devices.examples][devices.kinds], everything)
    least, most = counts.sum(axis=1).argmin(), counts.sum(axis=1).argmax()
    assert (counts[most] >= counts[least]).all()
    ends = devices.logs(np.array([least, most]))
    assert (ends[1] > ends[0]).all()


def test_a_reference_is_among_its_relatives(counts):
    prices = np.array([1.0, 2, 3, 0.5])
    logs = np.log(2 + counts @ prices)[:, None]
    devices = ImaginedDevices(logs, [counts])
    said = devices.logs(slice(None))
    said = said - said.mean(axis=0) - (logs - logs.mean())
    # Draws of five prices around one point: the nearest of 2500 is near.
    assert np.sqrt((said**2).mean(axis=0)).min() < 0.03


def test_an_operation_without_cost_keeps_a_price(counts):
    logs = np.log(2 + counts @ np.array([1.0, 2, 3, 0.0]))[:, None]
    devices = ImaginedDevices(logs, [counts])
    rows = np.array([0, 0])
    assert LEAST_SHARE > 0 and np.isfinite(devices.logs(rows)).all()


def test_a_device_that_pays_for_another_account_is_found(counts):
    rng = np.random.default_rng(1)
    alive = counts * (rng.random(counts.shape) < 0.6)
    price = np.array([1.0, 2, 3, 0.5])
    logs = np.log(np.stack([1 + counts @ (price * f) for f in (0.8, 1.0, 1.3)], axis=1))
    truth = 1 + alive @ price
    both = Candidates(logs, [counts], [counts, alive])
    one = Candidates(logs, [counts], [counts])
    scores = []
    for candidates in (both, one):
        rows = []
        for seed in range(5):
            own = np.random.default_rng(seed).choice(300, 12, replace=False)
            said = FewShot().fit(candidates, own, truth[own]).predict()
            rows.append(spearmanr(said, truth).statistic)
        scores.append(np.mean(rows))
    assert scores[0] > 0.97 and scores[0] > scores[1] + 0.1


def test_costs_that_are_none_are_refused(counts):
    logs = np.log(2 + counts.sum(axis=1, keepdims=True))
    for costs in ([-counts], [counts, counts[:, :2]]):
        with pytest.raises(RequestError, match="no negative value"):
            Candidates(logs, [counts], costs)
    assert Candidates(logs, [counts]).imagined is None
    assert Candidates(None, [counts], [counts]).imagined is None
