"""From a profile's records to the bags that a predictor is fitted on."""

from collections import Counter

from hwnas.export.bags import block_kernels
from hwnas.kernels import Kernel
from hwnas.profiles import NetworkBag, ProfiledBags, Records
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.blocks import BlockSpec


def profiled_bags(records: Records, runtime: str) -> ProfiledBags:
    """The bags of all blocks and networks that a profile has measured.

    Args:
        records: What the profile holds.
        runtime: Whose fusion rules count, on the processor that was measured.
    """
    kernels: dict[str, Counter[Kernel]] = {}
    fusion = records.fusion(runtime)

    def take(block: PlacedBlock) -> str:
        if block.key not in kernels:
            kernels[block.key] = block_kernels(block, fusion)
        return block.key

    networks = []
    for key, measurement in records.measurements().items():
        definition = records.definitions.get(key, {})
        if key.startswith("block:"):
            take(
                PlacedBlock(
                    BlockSpec.from_json(definition["block"]), tuple(definition["input_shape"])
                )
            )
        elif key.startswith("network:") and "architecture" in definition:
            architecture = Architecture.from_json(definition["architecture"])
            networks.append(
                NetworkBag(
                    measurement,
                    Counter(take(block) for block in architecture.placed),
                    bool(definition["judged"]),
                    str(definition["space"]),
                )
            )
    return ProfiledBags(kernels, networks)
