import math
import pickle

import pytest
import torch

from hwnas.errors import DataError, SpecError, StorageError
from hwnas.estimators import Budget, InheritEstimator, ScratchEstimator
from hwnas.spaces import Architecture, BlockSpec
from hwnas.training import Recipe, WeightStore


def network(channels=4, blocks=1, classes=2, kernel=1):
    conv = BlockSpec.of("conv", channels=channels, kernel=kernel, stride=1, activation="relu")
    head = BlockSpec.of("classifier", classes=classes)
    return Architecture((1, 8, 8), (*[conv] * blocks, head))


RECIPE = Recipe(epochs=2, batch_size=8)


@pytest.fixture
def own(data, tmp_path):
    return InheritEstimator(data, RECIPE, WeightStore(tmp_path / "weights"))


def test_without_a_relative_it_trains_from_scratch_with_the_same_budget(data, own):
    found = own.estimate(network(), Budget(epochs=3))
    scratch = ScratchEstimator(data, RECIPE).estimate(network(), Budget(epochs=3))
    assert found.value == scratch.value
    told = found.provenance
    assert told["parent"] is None and told["share"] == 0 and not told["preserved"]
    assert told["recipe"] == scratch.provenance["recipe"]
    assert told["epochs"] == told["lineage_epochs"] == 3 and not told["diverged"]


def test_a_child_starts_from_its_nearest_relative(own):
    parent = own.estimate(network(), Budget(epochs=3))
    found = own.estimate(network(blocks=2), Budget(epochs=1))
    told = found.provenance
    assert told["parent"] == network().digest and told["preserved"] and told["reasons"] == []
    assert 0 < told["share"] < 1 and parent.provenance["parent"] is None
    assert told["epochs"] == 1 and told["lineage_epochs"] == 4
    assert told["recipe"]["learning_rate"] == pytest.approx(0.3 * RECIPE.learning_rate)
    assert found.to_json()["provenance"] == told


def test_a_child_that_cannot_preserve_the_function_says_why(own):
    own.estimate(network(kernel=3), Budget())
    told = own.estimate(network(kernel=1), Budget()).provenance
    assert told["parent"] == network(kernel=3).digest and not told["preserved"]
    assert told["reasons"] == ["0.conv.conv: its kernel is cropped from 3 to 1"]


def test_what_was_trained_before_is_remembered(own):
    first = own.estimate(network(), Budget(epochs=1))
    own.estimate(network(8), Budget(epochs=1))
    again = own.estimate(network(), Budget(epochs=1))
    assert again.value == first.value and again.seconds == 0
    assert again.provenance == first.provenance | {"stored": True}
    # Another budget is another training, now with a relative.
    other = own.estimate(network(), Budget(epochs=2))
    assert other.provenance["parent"] == network(8).digest and not other.provenance["stored"]


def test_parents_stay_as_they_are(own):
    own.estimate(network(), Budget())
    before = own.store.load(network()).state_dict()
    own.estimate(network(8), Budget())
    after = own.store.load(network()).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_training_that_diverged_is_not_kept(data, tmp_path):
    wild = Recipe(epochs=9, batch_size=8, learning_rate=1e30, warmup=0)
    own = InheritEstimator(data, wild, WeightStore(tmp_path))
    found = own.estimate(network(), Budget(epochs=3))
    assert math.isnan(found.value) and found.provenance["diverged"]
    assert not list(own.store.architectures())


def test_weights_are_kept_by_data_where_the_environment_says(data, tmp_path, monkeypatch):
    monkeypatch.setenv("HWNAS_WEIGHTS", str(tmp_path))
    InheritEstimator(data, RECIPE).estimate(network(), Budget(epochs=1))
    assert [path.name for path in tmp_path.iterdir()] == [data.digest]
    told = InheritEstimator(data, RECIPE).estimate(network(8), Budget(epochs=1)).provenance
    assert told["parent"] == network().digest


def test_weights_without_a_folder_go_with_the_estimator(data, monkeypatch):
    monkeypatch.delenv("HWNAS_WEIGHTS", raising=False)
    own = InheritEstimator(data, RECIPE)
    own.estimate(network(), Budget(epochs=1))
    folder = own.store.folder
    assert len(list(folder.iterdir())) == 1
    del own
    assert not folder.exists()


def test_a_broken_file_is_an_error_and_not_a_training_from_scratch(own):
    own.estimate(network(), Budget(epochs=1))
    own.store.path(network()).write_bytes(b"torn")
    with pytest.raises(StorageError, match="Delete it to start anew"):
        own.estimate(network(8), Budget(epochs=1))


def test_it_can_be_sent_to_a_process(own):
    own.estimate(network(), Budget(epochs=1))
    sent = pickle.loads(pickle.dumps(own))
    assert sent.estimate(network(8), Budget(epochs=1)).provenance["parent"] == network().digest


def test_other_classes_and_rates_are_refused(data, own, tmp_path):
    with pytest.raises(DataError, match="classes"):
        own.estimate(network(classes=3), Budget())
    with pytest.raises(SpecError, match="tuning_rate must be above 0 to 1, received 0"):
        InheritEstimator(data, RECIPE, WeightStore(tmp_path), tuning_rate=0)
