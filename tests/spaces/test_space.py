import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import SpecError
from hwnas.spaces import Choice, SearchSpace, Slot, space

NAMES = [
    "mobilenet",
    "mobilenet-32",
    "resnet",
    "resnet-32",
    "shufflenet-32",
    "mobilenetv1-32",
    "efficientnet-32",
    "efficientnetv2-32",
    "convnext-32",
    "nasbench201",
    "vit-32",
]


@pytest.mark.parametrize("name", NAMES)
def test_samples_decode_to_networks_with_the_classes(name):
    found = space(name)
    for over in ("architectures", "choices"):
        for row in found.sample(np.random.default_rng(0), 20, over=over):
            architecture = found.decode(row)
            assert architecture.output_shape == (found.classes,)
            placed = [
                block.key
                for slot in found.slots
                if (block := found.slot_block(slot, [row[c] for c in slot.choices]))
            ]
            assert placed == [block.key for block in architecture.placed]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(
        [
            "mobilenet-32",
            "resnet-32",
            "shufflenet-32",
            "mobilenetv1-32",
            "efficientnet-32",
            "efficientnetv2-32",
            "convnext-32",
            "nasbench201",
        ]
    ),
)
def test_moves_stay_in_the_space_and_are_canonical(seed, name):
    found, rng = space(name), np.random.default_rng(seed)
    parents = found.sample(rng, 8)
    mutants = found.mutate(rng, parents, 0.2)
    children = found.crossover(rng, parents, parents[::-1])
    for rows in (parents, mutants, children, np.array(found.neighbours(parents[0]))):
        assert (found.canonical(rows) == rows).all()
        assert ((rows >= 0) & (rows < found.cardinalities)).all()
    own = tuple(parents[0])
    assert own not in found.neighbours(own)


def small() -> SearchSpace:
    choices = [Choice("depth", (1, 2, 3)), Choice("a", (3, 5), 0, 1), Choice("b", (3, 5, 7), 0, 2)]
    return SearchSpace(
        "small",
        choices,
        [Slot("s", (0,), lambda depth: None)],
        input_channels=3,
        image_sizes=[8],
        resolution=None,
        classes=2,
    )


def test_size_counts_distinct_architectures():
    found = small()
    every = np.array([(d, a, b) for d in range(3) for a in range(2) for b in range(3)])
    assert found.size == len({tuple(row) for row in found.canonical(every)}) == 1 + 2 + 6


def test_sampling_is_uniform_over_architectures():
    # Nine architectures, 9,000 draws: chi-square above 32 has a probability below 1e-4.
    rows = small().sample(np.random.default_rng(0), 9000)
    _, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(counts) == 9
    assert ((counts - 1000) ** 2 / 1000).sum() < 32


def test_genes_out_of_range_are_refused():
    found = space("resnet-32")
    with pytest.raises(SpecError, match="genes, received 1"):
        found.decode([0])
    with pytest.raises(SpecError, match="must be 0 to"):
        found.decode([9] * found.length)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"dept": 1}, "has no choice 'dept'; it has depth, a, b"),
        ({"depth": 9}, "choice 'depth' must be one of 1, 2, 3, received 9"),
    ],
)
def test_values_that_are_not_of_the_space_are_refused(values, says):
    with pytest.raises(SpecError, match=says):
        small().encode(values)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ([Choice("a", ())], "'a' has no values"),
        ([Choice("a", (1,), 1), Choice("b", (1,))], "'a' stands before its parent"),
        ([Choice("a", (1,)), Choice("b", (1,), 0), Choice("c", (1,), 1)], "'c': a parent cannot"),
    ],
)
def test_choices_that_make_no_space_are_refused(choices, says):
    with pytest.raises(SpecError, match=says):
        SearchSpace("s", choices, [], input_channels=3, image_sizes=[8], resolution=None, classes=2)
