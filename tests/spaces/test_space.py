import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import SpecError, UnknownNameError
from hwnas.spaces import Choice, SearchSpace, Slot, space

NAMES = ["mobilenet", "mobilenet-32", "resnet", "resnet-32"]


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


@pytest.mark.parametrize("name", NAMES)
def test_references_belong_to_the_space(name):
    found = space(name)
    assert found.references
    for genes in found.references.values():
        assert found.encode(found.values(genes)) == genes


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mobilenet-32", "resnet-32"]))
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


def test_overrides_set_image_size_and_classes():
    found = space("mobilenet-32:image_size=48,classes=7,input_channels=1")
    architecture = found.decode(found.references["mobilenetv2-like"])
    assert architecture.input_shape == (1, 48, 48)
    assert architecture.output_shape == (7,)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("mobilnet", UnknownNameError, "did you mean mobilenet"),
        ("mobilenet-32:depth=3", SpecError, "it has image_size, classes, input_channels"),
        ("mobilenet-32:classes=x", SpecError, "positive whole number"),
        ("mobilenet-32:classes=1", SpecError, "at least 2"),
        ("mobilenet-32:image_size=4", SpecError, "image_size must be at least"),
    ],
)
def test_wrong_names_and_settings_say_what_is_allowed(text, error, says):
    with pytest.raises(error, match=says):
        space(text)


def test_genes_out_of_range_are_refused():
    found = space("resnet-32")
    with pytest.raises(SpecError, match="genes, received 1"):
        found.decode([0])
    with pytest.raises(SpecError, match="must be 0 to"):
        found.decode([9] * found.length)
