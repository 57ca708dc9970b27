import json
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import SpecError, UnknownNameError
from hwnas.export.bags import architecture_kernels
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.nets import Network
from hwnas.spaces import registry, space
from hwnas.spaces.toml_space import toml_factory

DOC = Path(__file__).parents[2] / "docs" / "spaces.md"
EXAMPLE = DOC.read_text().split("```toml\n")[1].split("```")[0]

SMALL = """
[input]
image_size = 16
classes = 3
[stem]
block = "conv"
channels = 8
kernel = 3
activation = "relu"
[[stages]]
block = "bottleneck"
channels = 16
stride = 2
depths = [1, 2]
width = 8
groups = [1, 2]
activation = "relu"
[head]
block = "classifier"
"""


@pytest.fixture
def write(tmp_path):
    def written(text, name="own.toml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def test_the_example_of_the_documentation_is_a_space(write):
    own = space(write(EXAMPLE))
    assert [choice.name for choice in own.choices] == [
        "resolution", "width", "stem.kernel", "stem.activation", "stage1.depth", "stage1.kind",
        *(
            f"stage1.block{block}.{option}"
            for block in (1, 2, 3)
            for option in ("kernel", "expansion", "squeeze", "squeeze_from", "activation")
        ),
        "stage2.depth", "stage2.groups",
        *(f"stage2.block{b}.{part}" for b in (1, 2) for part in ("width_ratio", "activation")),
        "stage3.depth",
        *(
            f"stage3.block{b}.{part}"
            for b in (1, 2)
            for part in ("kernel", "expansion", "activation")
        ),
    ]  # fmt: skip
    assert own.size == 2 * 2 * 2 * (4 + 16 + 64) * 2 * (2 + 4) * 2
    assert f"{own.size:,} architectures" in DOC.read_text()
    every = f"`{'`, `'.join(sorted(registry_blocks()))}`"
    assert all(kind in DOC.read_text() for kind in every.strip("`").split("`, `"))


def registry_blocks():
    from hwnas.spaces import BLOCKS

    return {kind for kind, build in BLOCKS.items() if build.__module__.startswith("hwnas.")}


def test_samples_and_moves_of_a_file_stay_in_its_space(write):
    own, rng = space(write(EXAMPLE)), np.random.default_rng(0)
    parents = own.sample(rng, 12)
    mutants = own.mutate(rng, parents, 0.2)
    children = own.crossover(rng, parents, parents[::-1])
    for rows in (parents, mutants, children, np.array(own.neighbours(parents[0]))):
        assert (own.canonical(rows) == rows).all()
    for row in (*parents, *mutants[:4], own.references["mine-like"]):
        architecture = own.decode(row)
        assert architecture.output_shape == (10,)
        assert own.encode(own.values(row)) == tuple(row)
        placed = [own.slot_block(slot, [row[c] for c in slot.choices]) for slot in own.slots]
        assert [item for item in placed if item] == list(architecture.placed)


def test_a_network_of_a_file_is_trained_and_priced_as_the_built_in_ones(write):
    own = space(write(EXAMPLE))
    architecture = own.decode(own.sample(np.random.default_rng(1), 1)[0])
    bag = lower(architecture_to_onnx(architecture), FUSION["onnxruntime"]).kernels
    assert architecture_kernels(architecture) == bag
    network = Network(architecture)
    assert sum(value.numel() for value in network.parameters()) == architecture.parameters


def test_ratios_shared_options_and_widths_decide_the_blocks(write):
    own = space(write(EXAMPLE))
    values = {"width": 0.5, "stage2.depth": 2, "stage2.groups": 8, "stage2.block2.width_ratio": 0.5}
    blocks = own.decode(own.encode(values | {"stage1.kind": "fused_inverted_bottleneck"})).blocks
    assert [spec.kind for spec in blocks] == [
        "conv", "fused_inverted_bottleneck", "bottleneck", "bottleneck", "convnext_down",
        "convnext", "classifier",
    ]  # fmt: skip
    first, second = (dict(spec.arguments) for spec in blocks[2:4])
    assert (first["channels"], first["width"], first["stride"], first["groups"]) == (32, 8, 2, 8)
    assert (second["channels"], second["width"], second["stride"]) == (32, 16, 1)


def test_settings_behind_the_path_replace_those_of_the_file(write):
    own = space(write(SMALL) + ":classes=7,image_size=24,input_channels=1")
    architecture = own.decode([0] * own.length)
    assert (architecture.input_shape, architecture.output_shape) == ((1, 24, 24), (7,))


def test_resolutions_of_equal_size_are_one(write):
    text = SMALL.replace("image_size = 16", "image_size = 4\nresolutions = [0.9, 0.5, 1.0]")
    assert space(write(text)).image_sizes == (4, 2)


def test_tokens_pass_through_stages(write):
    own = space(
        write("""
[input]
image_size = 16
classes = 3
[stem]
block = "patch_embedding"
dimension = 16
patch = 4
class_token = true
positions = true
[[stages]]
block = "transformer_block"
depths = [1, 2]
heads = [1, 2]
head_dimension = 8
hidden_ratio = [2.0, 4.0]
activation = "gelu"
[head]
block = "vit_head"
pool = "first"
""")
    )
    blocks = own.decode(own.encode({"stage1.block1.hidden_ratio": 4.0})).blocks
    assert [spec.kind for spec in blocks] == ["patch_embedding", "transformer_block", "vit_head"]
    assert dict(blocks[1].arguments)["hidden"] == 64
    assert own.size == 4 + 16


def test_what_a_space_is_does_not_depend_on_where_its_file_lies(write):
    one, other = space(write(SMALL, "a.toml")), space(write('name = "a"\n' + SMALL, "b.toml"))
    assert one.describe() == other.describe() == json.loads(json.dumps(one.describe()))
    assert one.describe()["name"] == "a"
    assert one.describe()["blocks"]["stages"] == tomllib.loads(SMALL)["stages"]
    changed = space(write(SMALL.replace("kernel = 3", "kernel = 5"), "c/../a.toml".split("/")[-1]))
    assert changed.describe() != one.describe()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[input]", "[inputs]", r"own.toml: the file: there is no key 'inputs'; did you mean 'in"),
        ("image_size", "imagesize", r"input: there is no key 'imagesize'; did you mean 'image_s"),
        ("image_size = 16", "", "input: 'image_size' is missing"),
        ("classes = 3", "classes = 1", "classes must be from 2"),
        ("classes = 3", "classes = 2.5", "input.classes: must be a positive whole number"),
        ("image_size = 16", "image_size = 9000", "image_size must be from 1 to 4096"),
        ('"bottleneck"', '"botleneck"', r"stages\[1\].block: there is no block named 'botleneck'"),
        ("groups =", "grups =", r"stages\[1\]: block 'bottleneck' has no argument 'grups'; did "),
        ("width = 8", "", r"stages\[1\]: block 'bottleneck' needs 'width'; it takes channels, wi"),
        ("channels = 16", "", r"stages\[1\]: block 'bottleneck' needs 'channels'"),
        ("[1, 2]\nwidth", "[]\nwidth", r"stages\[1\].depths: must be ascending"),
        ("[1, 2]\nwidth", "[2, 1]\nwidth", r"stages\[1\].depths: must be ascending"),
        ("[1, 2]\nwidth", "[0, 1]\nwidth", r"stages\[1\].depths: must be a positive whole"),
        ("groups = [1, 2]", "groups = []", r"stages\[1\].groups: a list of choices must have at"),
        ("groups = [1, 2]", "groups = [1, 1]", r"stages\[1\].groups: has a value twice"),
        ("groups = [1, 2]", "groups = 1.5", r"groups: must be a whole number, rec.*; a share"),
        ("groups = [1, 2]", "groups = {}", r"stages\[1\].groups: must be a whole number, rec"),
        ("width = 8", "width_ratio = [0.0]", r"width_ratio: must be a number above 0, received 0"),
        ("width = 8", "width = 8\nwidth_ratio = 0.5", "is given as 'width_ratio' too"),
        ("groups = [1, 2]", "groups = 1\nshared = {groups = 1}", "stands in 'shared' too"),
        ("groups = [1, 2]", "groups = [1, 3]", r"stages\[1\]: .*groups must divide .*groups=3"),
        ("kernel = 3", "kernel = true", "stem.kernel: must be a whole number, received True"),
        ('"relu"', "1", "stem.activation: must be text, received 1"),
        ('"relu"', '"rleu"', "stem: activation: kind must be one of relu, .* received 'rleu'"),
        ("kernel = 3", "kernel = 3\ndepths = 2", "stem: block 'conv' has no argument 'depths'"),
        ("kernel = 3", "kernel = 3\nstrid = 2", "no argument 'strid'; did you mean 'stride'"),
        ("kernel = 3", 'kernel = "3"', r"stem.kernel: must be a whole number, received '3'"),
        ("stride = 2", "stride = 17", r"stages\[1\]: .*stride 17 goes past an image of 16×16"),
        ("stride = 2", "stride = 0", r"stages\[1\].stride: must be a positive whole number"),
        ("[head]", "[[head]]\nblock='conv'\n[[head]]", r"head\[1\]: block 'conv' needs 'kernel'"),
        ('"classifier"', '"convnext_stem"\nchannels=8\npatch=2', r"head: the last block must give"),
        ("[head]", "[headd]", "there is no key 'headd'; did you mean 'head'"),
        ('[head]\nblock = "classifier"', "", "the file: 'head' is missing"),
        ("[[stages]]", "[stages]", "stages: there must be at least one"),
        ("[input]", "widths = [0]\n[input]", "widths: must be numbers above 0"),
        ("[input]", "widths = [1, 1]\n[input]", "widths: has a value twice"),
        ("[input]", "widths = []\n[input]", "widths: must be a list of numbers"),
        ("[input]", "[input", "cannot be read as TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_key(write, old, new, says):
    assert old in SMALL
    with pytest.raises(SpecError, match=says):
        space(write(SMALL.replace(old, new, 1)))


def test_choices_that_give_different_shapes_are_refused(write):
    text = SMALL.replace('block = "conv"', 'block = ["conv", "conv_pool"]').replace(
        "kernel = 3", "kernel = 3\nstride = 2"
    )
    with pytest.raises(SpecError, match="stem: all choices must give one shape, but .*stem.kind="):
        space(write(text))
    # The convolution of a stem keeps the channels of no image.
    wrong = SMALL.replace('"bottleneck"', '"conv_pool"').replace("width = 8\n", "kernel = 3\n")
    with pytest.raises(SpecError, match="blocks behind the first of a stage must keep the shape"):
        space(write(wrong.replace("groups = [1, 2]\n", "")))


def test_files_that_are_missing_and_names_that_are_not_files_are_told_apart(tmp_path):
    with pytest.raises(SpecError, match="there is no file '.*gone.toml'"):
        space(str(tmp_path / "gone.toml"))
    with pytest.raises(UnknownNameError, match=r"path of a file \*.toml"):
        space("mine")


def test_an_entry_point_can_be_the_path_of_a_file(write, monkeypatch):
    path = write(SMALL)
    for loaded in (path, Path(path), toml_factory(path)):
        monkeypatch.setattr(EntryPoint, "load", lambda entry, loaded=loaded: loaded)
        entry = EntryPoint("mine", "own:MINE", "hwnas.spaces")
        monkeypatch.setattr(registry, "entry_points", lambda *, group, entry=entry: [entry])
        assert space("mine:classes=5").classes == 5


def test_a_file_limits_its_space(write):
    whole = space(write(SMALL))
    costs = sorted(whole.decode(g).parameters for g in np.ndindex(*whole.cardinalities))
    limited = space(write(SMALL + f"[limits]\nparameters = {costs[0]}\n", "limited.toml"))
    assert limited.size < whole.size
    rows = limited.sample(np.random.default_rng(0), 5)
    assert {limited.decode(row).parameters for row in rows} == {costs[0]}
    with pytest.raises(SpecError, match=f"smallest found has {costs[0]} parameters"):
        space(write(SMALL + f"[limits]\nparameters = {costs[0] - 1}\n"))
    with pytest.raises(SpecError, match="limits: there is no key 'params'"):
        space(write(SMALL + "[limits]\nparams = 5\n"))
