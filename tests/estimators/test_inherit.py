import math
import pickle
import tempfile
from dataclasses import replace

import pytest
import torch

from hwnas.errors import DataError, RequestError, SpecError, StorageError
from hwnas.estimators import Budget, InheritEstimator, ScratchEstimator, Setting, estimator
from hwnas.spaces import Architecture, BlockSpec
from hwnas.training import Recipe


def network(channels=4, blocks=1, classes=2, kernel=1):
    conv = BlockSpec.of("conv", channels=channels, kernel=kernel, stride=1, activation="relu")
    head = BlockSpec.of("classifier", classes=classes)
    return Architecture((1, 8, 8), (*[conv] * blocks, head))


RECIPE = Recipe(epochs=2, batch_size=8)


@pytest.fixture
def own(data, tmp_path):
    return InheritEstimator(data, RECIPE, tmp_path / "weights")


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
    before = own.store.load(network()).network.state_dict()
    own.estimate(network(8), Budget())
    after = own.store.load(network()).network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_training_that_diverged_is_not_kept(data, tmp_path):
    wild = Recipe(epochs=9, batch_size=8, learning_rate=1e30, warmup=0)
    own = InheritEstimator(data, wild, tmp_path)
    found = own.estimate(network(), Budget(epochs=3))
    assert math.isnan(found.value) and found.provenance["diverged"]
    assert not list(own.store.architectures())


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No folder of the environment's, and temporary ones here."""
    monkeypatch.delenv("HWNAS_WEIGHTS", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def temporary(folder):
    """Folders of the estimator; torch has its own there."""
    return list(folder.glob("hwnas-weights-*"))


def setting(data, folder=None):
    return Setting(data, RECIPE, 0, folder=folder)


def test_making_one_touches_no_disk(data, nowhere):
    estimator("inherit", setting(data))
    estimator("inherit", setting(data, nowhere / "run" / "weights"))
    assert not temporary(nowhere) and not (nowhere / "run").exists()


def test_a_run_that_goes_on_finds_its_weights(data, nowhere):
    folder = nowhere / "run" / "weights"
    estimator("inherit", setting(data, folder)).estimate(network(), Budget(epochs=1))
    (kept,) = (folder / "inherit").glob("**/*.weights")
    assert kept.name == f"{network().digest}.weights" and kept.parent.name == data.digest
    again = estimator("inherit", setting(data, folder))
    assert again.estimate(network(), Budget(epochs=1)).provenance["stored"]
    told = again.estimate(network(8), Budget(epochs=1)).provenance
    assert told["parent"] == network().digest
    assert not temporary(nowhere)


def test_the_folder_that_the_environment_names_wins(data, nowhere, monkeypatch):
    monkeypatch.setenv("HWNAS_WEIGHTS", str(nowhere / "mine"))
    estimator("inherit", setting(data, nowhere / "run")).estimate(network(), Budget(epochs=1))
    assert not temporary(nowhere) and not (nowhere / "run").exists()
    assert [path.name for path in (nowhere / "mine").iterdir()] == [data.digest]
    told = estimator("inherit", setting(data)).estimate(network(8), Budget(epochs=1)).provenance
    assert told["parent"] == network().digest


def test_weights_of_other_data_are_no_parents(data, nowhere):
    estimator("inherit", setting(data, nowhere)).estimate(network(), Budget(epochs=1))
    other = replace(data, train=data.validation)
    told = estimator("inherit", setting(other, nowhere)).estimate(network(8), Budget(epochs=1))
    assert told.provenance["parent"] is None


def test_weights_without_a_folder_go_with_the_estimator(data, nowhere):
    own = estimator("inherit", setting(data))
    own.estimate(network(), Budget(epochs=1))
    folder = own.store.folder
    assert len(list(folder.iterdir())) == 1
    told = own.estimate(network(8), Budget(epochs=1)).provenance
    assert told["parent"] == network().digest
    assert temporary(nowhere) == [folder.parent]
    del own
    assert not temporary(nowhere)


def test_a_folder_that_cannot_be_is_refused_before_anything_is_trained(data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HWNAS_WEIGHTS", str(tmp_path / "file"))
    monkeypatch.setattr("hwnas.estimators.inherit.train", pytest.fail)
    with pytest.raises(RequestError, match="a file stands in its place"):
        InheritEstimator(data, RECIPE).estimate(network(), Budget())


def test_where_nothing_is_carried_over_it_trains_as_from_scratch(data, own):
    """The patches of a transformer stand where the classifier of a lone classifier stood."""
    embedding = BlockSpec.of(
        "patch_embedding", dimension=4, patch=4, class_token=True, positions=True
    )
    head = BlockSpec.of("vit_head", classes=2, pool="first")
    transformer = Architecture((1, 8, 8), (embedding, head))
    lone = Architecture((1, 8, 8), (BlockSpec.of("classifier", classes=2),))
    own.estimate(lone, Budget(epochs=1))
    found = own.estimate(transformer, Budget(epochs=2))
    scratch = ScratchEstimator(data, RECIPE).estimate(transformer, Budget(epochs=2))
    told = found.provenance
    assert told["parent"] is None and told["share"] == 0 and not told["preserved"]
    assert told["reasons"] == [
        f"nothing of the nearest relative {lone.digest} could be carried over"
    ]
    assert told["recipe"] == scratch.provenance["recipe"]
    assert told["epochs"] == told["lineage_epochs"] == 2
    assert found.value == scratch.value


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
        InheritEstimator(data, RECIPE, tmp_path, tuning_rate=0)
