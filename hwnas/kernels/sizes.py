"""Whether constants that say how large, how often or where fit what they are applied to."""

import math

import numpy as np

from hwnas.kernels.reading import Reading, sizes_text


def reshape(reading: Reading) -> str | None:
    """What is wrong with the shapes before and after; ``None`` where nothing is."""
    before, after = reading.shape(0), reading.output_shape()
    if before is None or after is None or math.prod(before) == math.prod(after):
        return None
    return (
        f"{sizes_text(before)} has {math.prod(before)} elements, "
        f"{sizes_text(after)} has {math.prod(after)}"
    )


def resize(reading: Reading) -> str | None:
    """What is wrong with the factors or sizes; ``None`` where nothing is."""
    # Before opset 11 the factors stood second.
    second = reading.node.op == "Upsample" or reading.version < 11
    scales = reading.value(1 if second else 2)
    if scales is None and reading.node.op == "Upsample":
        stated = reading.node.attributes.get("scales")
        scales = np.asarray(stated, float) if isinstance(stated, tuple) else None
    if scales is not None and not (np.isfinite(scales).all() and (scales > 0).all()):
        return f"its scales {scales.reshape(-1).tolist()} are not all finite and positive"
    sizes = None if second else reading.value(3)
    if sizes is not None and not (sizes > 0).all():
        return f"its sizes {sizes.reshape(-1).tolist()} are not all positive"
    before = reading.shape(0)
    if before is None or scales is None or scales.size != len(before):
        return None
    after = tuple(math.floor(size * float(by)) for size, by in zip(before, scales, strict=True))
    if 0 in after and 0 not in before:
        return f"its scales {scales.reshape(-1).tolist()} leave nothing of {sizes_text(before)}"
    return None


def gather(reading: Reading) -> str | None:
    """What is wrong with constant indices; ``None`` where nothing is or they are not known."""
    data, where = reading.shape(0), reading.value(1)
    axis = reading.integer("axis", 0)
    if data is None or where is None or where.dtype.kind not in "iu" or not where.size:
        return None
    if not -len(data) <= axis < len(data):
        return None
    size = data[axis]
    wrong = where[(where < -size) | (where >= size)]
    if not wrong.size:
        return None
    return f"index {int(wrong.reshape(-1)[0])} is out of range of axis {axis}, which has {size}"


def local_response(reading: Reading) -> str | None:
    """What is wrong with the number of channels; ``None`` where nothing is."""
    size = reading.integer("size", 1)
    return f"its size is {size}, and must be at least 1" if size < 1 else None
