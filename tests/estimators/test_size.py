import pickle

import numpy as np
import pytest

from hwnas.errors import UnknownNameError
from hwnas.estimators import Budget
from hwnas.estimators.size import SizeScore
from hwnas.estimators.zero_shot import MacsScore, ParametersScore
from hwnas.spaces import BLOCKS, Architecture, BlockSpec, space
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import Conv2d

CONV = BlockSpec.of("conv", channels=4, kernel=3, stride=2, activation="relu")
HEAD = BlockSpec.of("classifier", classes=5)


def values(architecture):
    return tuple(
        score.estimate(architecture, Budget()).value for score in (ParametersScore(), MacsScore())
    )


def test_sizes_by_hand():
    # 3x3 convolution of 3 to 4 channels on 4x4 outputs, batch norm, linear of 4 to 5 with bias.
    assert values(Architecture((3, 8, 8), (CONV, HEAD))) == (108 + 8 + 25, 108 * 16 + 20)


@pytest.mark.parametrize("name", ["mobilenet-32", "resnet-32"])
def test_sizes_are_those_of_the_architecture(name):
    own = space(name)
    for genes in own.sample(np.random.default_rng(0), 4).tolist():
        architecture = own.decode(genes)
        assert values(architecture) == (architecture.parameters, architecture.macs)


def test_layers_that_the_output_does_not_depend_on_do_not_count(monkeypatch):
    def with_dead_layer(builder):
        builder.add("dead", Conv2d(64, 3), INPUT)
        builder.add("live", Conv2d(2, 1), INPUT)

    monkeypatch.setitem(BLOCKS, "with_dead_layer", with_dead_layer)
    architecture = Architecture((3, 8, 8), (BlockSpec.of("with_dead_layer"),))
    assert values(architecture) == (6, 6 * 64)
    assert architecture.parameters > 6


def test_names_and_provenance():
    for score, name in ((ParametersScore(), "parameters"), (MacsScore(), "macs")):
        found = score.estimate(Architecture((3, 8, 8), (CONV,)), Budget(epochs=1))
        assert score.name == name and found.provenance == {"estimator": name}
        assert isinstance(found.value, float)


def test_scores_can_be_sent_to_a_process_and_other_sizes_are_refused():
    assert pickle.loads(pickle.dumps(ParametersScore())).name == "parameters"
    with pytest.raises(UnknownNameError, match="did you mean macs"):
        SizeScore("mac")
