"""Spaces by name, with overrides: ``mobilenet-32:image_size=28,classes=62``."""

import inspect
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hwnas.errors import SpecError, UnknownNameError
from hwnas.spaces.convnext import convnext_space
from hwnas.spaces.costs import COSTS
from hwnas.spaces.efficientnet import MBStage, efficientnet
from hwnas.spaces.limited import LimitedSpace
from hwnas.spaces.micro import micro
from hwnas.spaces.mobilenet import mobilenet
from hwnas.spaces.mobilenetv1 import mobilenetv1
from hwnas.spaces.nasbench201 import nasbench201
from hwnas.spaces.resnet import resnet
from hwnas.spaces.shufflenet import shufflenet
from hwnas.spaces.space import SearchSpace
from hwnas.spaces.toml_space import SUFFIX, toml_factory
from hwnas.spaces.vit import vit

Factory = Callable[..., SearchSpace]

SPACES: dict[str, Factory] = {
    "mobilenet": partial(
        mobilenet,
        image_size=224,
        classes=1000,
        widths=(0.75, 1.0, 1.25),
        stem=(16, 2),
        stages=((24, 2), (40, 2), (80, 2), (112, 1), (160, 2)),
        depths=(2, 3, 4),
        features=960,
        hidden=1280,
    ),
    "mobilenet-32": partial(
        mobilenet,
        image_size=32,
        classes=10,
        widths=(0.5, 0.75, 1.0),
        stem=(16, 1),
        stages=((24, 2), (40, 2), (64, 2)),
        depths=(1, 2, 3),
        features=128,
        hidden=128,
    ),
    "resnet": partial(
        resnet,
        image_size=224,
        classes=1000,
        widths=(0.5, 0.75, 1.0),
        stem=(64, 7, True),
        stages=((256, 1), (512, 2), (1024, 2), (2048, 2)),
        depths=(2, 3, 4, 6),
        groups=(1, 32),
    ),
    "resnet-32": partial(
        resnet,
        image_size=32,
        classes=10,
        widths=(0.5, 0.75, 1.0),
        stem=(16, 3, False),
        stages=((64, 2), (128, 2), (192, 2)),
        depths=(1, 2, 3),
    ),
    "shufflenet": partial(
        shufflenet,
        image_size=224,
        classes=1000,
        widths=(0.5, 1.0, 1.5),
        stem=(24, True),
        stages=((116, (3, 4, 5)), (232, (6, 8, 10)), (464, (3, 4, 5))),
        features=1024,
    ),
    "shufflenet-32": partial(
        shufflenet,
        image_size=32,
        classes=10,
        widths=(0.5, 1.0),
        stem=(24, False),
        stages=((48, (1, 2, 3)), (96, (1, 2, 3)), (192, (1, 2, 3))),
        features=256,
    ),
    "mobilenetv1": partial(
        mobilenetv1,
        image_size=224,
        classes=1000,
        widths=(0.5, 0.75, 1.0),
        stem=(32, 2),
        stages=(
            (64, 1, (1,)),
            (128, 2, (1, 2, 3)),
            (256, 2, (1, 2, 3)),
            (512, 2, (4, 6, 8)),
            (1024, 2, (1, 2, 3)),
        ),
    ),
    "mobilenetv1-32": partial(
        mobilenetv1,
        image_size=32,
        classes=10,
        widths=(0.5, 0.75, 1.0),
        stem=(16, 1),
        stages=((32, 2, (1, 2, 3)), (64, 2, (1, 2, 3)), (128, 2, (1, 2, 3))),
    ),
    "efficientnet": partial(
        efficientnet,
        image_size=224,
        classes=1000,
        widths=(0.75, 1.0, 1.1),
        stem=(32, 2),
        stages=(
            MBStage(16, 1, (1,), (3, 5, 7), expansion=1),
            MBStage(24, 2, (1, 2, 3), (3, 5, 7)),
            MBStage(40, 2, (1, 2, 3), (5, 3, 7)),
            MBStage(80, 2, (2, 3, 4), (3, 5, 7)),
            MBStage(112, 1, (2, 3, 4), (5, 3, 7)),
            MBStage(192, 2, (3, 4, 5), (5, 3, 7)),
            MBStage(320, 1, (1,), (3, 5, 7)),
        ),
        features=1280,
    ),
    "efficientnet-32": partial(
        efficientnet,
        image_size=32,
        classes=10,
        widths=(0.75, 1.0),
        stem=(32, 1),
        stages=(
            MBStage(16, 1, (1,), (3, 5), expansion=1),
            MBStage(24, 2, (1, 2), (3, 5), expansion=4),
            MBStage(40, 2, (1, 2, 3), (5, 3), expansion=4),
            MBStage(80, 2, (1, 2), (3, 5), expansion=4),
        ),
        features=256,
    ),
    "efficientnetv2": partial(
        efficientnet,
        image_size=224,
        classes=1000,
        widths=(0.75, 1.0, 1.1),
        stem=(24, 2),
        stages=(
            MBStage(24, 1, (1, 2, 3), (3, 5), 1, (True, False)),
            MBStage(48, 2, (3, 4, 5), (3, 5), 4, (True, False)),
            MBStage(64, 2, (3, 4, 5), (3, 5), 4, (True, False)),
            MBStage(128, 2, (5, 6, 7), (3, 5), 4, (False, True)),
            MBStage(160, 1, (7, 9, 11), (3, 5), 6, (False, True)),
            MBStage(256, 2, (12, 15, 18), (3, 5), 6, (False, True)),
        ),
        features=1280,
        label="efficientnetv2-s-like",
    ),
    "efficientnetv2-32": partial(
        efficientnet,
        image_size=32,
        classes=10,
        widths=(0.75, 1.0),
        stem=(24, 1),
        stages=(
            MBStage(16, 1, (1,), (3, 5), 1, (True, False)),
            MBStage(32, 2, (1, 2), (3, 5), 4, (True, False)),
            MBStage(48, 2, (1, 2, 3), (3, 5), 4, (True, False)),
            MBStage(80, 2, (1, 2), (3, 5), 4, (False, True)),
        ),
        features=256,
        label="efficientnetv2-like",
    ),
    "convnext": partial(
        convnext_space,
        image_size=224,
        classes=1000,
        widths=(0.5, 0.75, 1.0),
        patch=4,
        stages=((96, (2, 3, 4)), (192, (2, 3, 4)), (384, (6, 9, 12)), (768, (2, 3, 4))),
    ),
    "convnext-32": partial(
        convnext_space,
        image_size=32,
        classes=10,
        widths=(0.5, 0.75, 1.0),
        patch=2,
        stages=((32, (1, 2)), (64, (1, 2, 3)), (128, (1, 2))),
        kernels=(7, 5),
    ),
    "vit": partial(
        vit,
        image_size=224,
        classes=1000,
        patches=(16, 32),
        dimensions=(192, 216, 240),
        depths=(11, 12, 13),
        heads=(3, 4),
        ratios=(3.5, 4.0),
    ),
    "vit-32": partial(
        vit,
        image_size=32,
        classes=10,
        patches=(4, 8),
        dimensions=(48, 64, 96),
        depths=(2, 3, 4),
        heads=(2, 3),
        ratios=(2.0, 4.0),
        head_dimension=16,
    ),
    "nasbench201": partial(nasbench201, image_size=32, classes=10),
    "micro": partial(micro, image_size=28, classes=10),
}

OVERRIDES = ("image_size", "classes", "input_channels")
LIMITS = {f"max_{name}": name for name in COSTS}
"""Settings that limit a space, by name."""


def spaces() -> dict[str, Factory]:
    """All space factories: the built-in ones and those of the ``hwnas.spaces`` entry points.

    A factory takes ``name`` and, as keywords, any of ``image_size``, ``classes``
    and ``input_channels``. An entry point is a factory, or the path of a TOML file.
    """
    found = dict(SPACES)
    for entry in entry_points(group="hwnas.spaces"):
        found.setdefault(entry.name, partial(_load, entry.load))
    return found


def _load(loader: Callable[[], Factory | str | Path], *args: Any, **keywords: Any) -> SearchSpace:
    loaded = loader()
    factory = toml_factory(loaded) if isinstance(loaded, str | Path) else loaded
    return factory(*args, **keywords)


def space(text: str) -> SearchSpace:
    """The space for a name, with overrides behind a colon.

    Args:
        text: ``NAME`` or ``NAME:key=value,…``; keys are ``image_size``,
            ``classes``, ``input_channels``, ``max_parameters``, ``max_macs`` and
            ``max_activation_bytes``, values whole numbers. A name that ends
            in ``.toml`` is the path of a file that describes the space.

    Raises:
        UnknownNameError: No space has that name.
        SpecError: A setting is unknown, stands twice, or is not a whole number, or no
            architecture is within the limits.
    """
    name, _, rest = text.partition(":")
    factories = spaces()
    if name.endswith(SUFFIX):
        factories[name] = toml_factory(name)
    if name not in factories:
        raise UnknownNameError(
            "space", name, factories, f"A space of your own is the path of a file *{SUFFIX}."
        )
    overrides: dict[str, int] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        if key not in OVERRIDES and key not in LIMITS:
            known = ", ".join((*OVERRIDES, *LIMITS))
            raise SpecError(f"space '{name}' has no setting '{key}'; it has {known}")
        if not value.isdecimal() or int(value) < 1:
            raise SpecError(f"setting '{key}' takes a positive whole number, received '{value}'")
        if key in overrides:
            raise SpecError(f"setting '{key}' stands twice in '{text}'; give it once")
        overrides[key] = int(value)
    factory = factories[name]
    limits = {LIMITS[key]: overrides.pop(key) for key in LIMITS if key in overrides}
    try:
        found = factory(text, **overrides)
        return LimitedSpace(found, limits) if limits else found
    except TypeError as error:
        accepted = ", ".join(inspect.signature(factory).parameters)
        raise SpecError(f"space '{name}': {error}; it takes {accepted}") from error
