"""The networks that a search's winner is put beside, and what the predictor says of them."""

from typing import Any

from hwnas.cli.deploy import Candidate
from hwnas.predictors import SpacePredictor
from hwnas.search.constraint import rows
from hwnas.spaces import SearchSpace, space

FAMILIES = ("mobilenet", "resnet")


def reference_candidates(own: SearchSpace) -> list[Candidate]:
    """The reference networks of a space, and of the other family where it has one only.

    The other family's are of the same image size, input and classes.

    Args:
        own: The space that is searched.
    """
    found = [Candidate(name, own.decode(genes)) for name, genes in own.references.items()]
    size, classes = max(own.image_sizes), own.classes
    small = "-32" if size <= 64 else ""
    for family in FAMILIES:
        if not any(item.name.startswith(family) for item in found):
            other = space(
                f"{family}{small}:image_size={size},classes={classes},"
                f"input_channels={own.input_channels}"
            )
            found += [
                Candidate(name, other.decode(genes)) for name, genes in other.references.items()
            ]
    return found


def priced(row: dict[str, Any], own: SearchSpace, predictor: SpacePredictor) -> dict[str, Any]:
    """A deployed network's row with its predicted latency; ``None`` for one of another space.

    Args:
        row: With the ``name`` of the network.
        own: The space that the predictor prices.
        predictor: Of the device.
    """
    genes = own.references.get(row["name"])
    if genes is None:
        return {**row, "predicted_ms": None, "low_ms": None, "high_ms": None}
    genotype = rows([genes])
    low, high = predictor.bounds_ms(genotype, 0.95)
    return {
        **row,
        "predicted_ms": float(predictor.predict_ms(genotype)[0]),
        "low_ms": float(low[0]),
        "high_ms": float(high[0]),
    }
