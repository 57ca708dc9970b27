import itertools

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.export.bags import architecture_kernels
from hwnas.export.layers_onnx import architecture_to_onnx
from hwnas.export.parts_onnx import block_part
from hwnas.export.trained import max_abs_error, network_to_onnx
from hwnas.kernels import FUSION, lower
from hwnas.nets import Network
from hwnas.runtimes import runtime
from hwnas.spaces import space
from hwnas.spaces.cell import OPERATIONS, live
from hwnas.spaces.nasbench201 import arch_str_of, genotype_of, nasbench201

ZERO = (0,) * 6
IDENTITY = genotype_of("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
POOL = genotype_of("|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|")


def small(**changes):
    return nasbench201("small", **{"image_size": 8, "classes": 3, "cells": 1} | changes)


def test_there_are_15625_genotypes_each_with_its_string():
    assert space("nasbench201").size == 15_625
    texts = set()
    for genotype in itertools.product(range(5), repeat=6):
        text = arch_str_of(genotype)
        assert genotype_of(text) == genotype
        texts.add(text)
    assert len(texts) == 15_625


@pytest.mark.parametrize("gene", [-1, 5])
def test_genes_out_of_range_are_refused(gene):
    with pytest.raises(SpecError, match=f"0 to 4, received {gene}"):
        arch_str_of([gene, 0, 0, 0, 0, 0])


def test_parameters_are_those_of_the_benchmark():
    """Millions of parameters in the benchmark, of cells without dead edges: 1.531546 the most."""
    own = space("nasbench201")
    known = {
        arch_str_of(own.references["all-conv-3x3"]): 1_531_546,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+"
        "|skip_connect~0|nor_conv_3x3~1|skip_connect~2|": 802_426,
        arch_str_of(ZERO): 73_306,
    }
    for text, parameters in known.items():
        assert own.decode(genotype_of(text)).parameters == parameters


def test_genotypes_of_the_same_live_edges_are_one_architecture():
    own = small()
    digests = {}
    for genotype in own.sample(np.random.default_rng(0), 300).tolist():
        edges = live([OPERATIONS[gene] for gene in genotype])
        digests.setdefault(edges, set()).add(own.decode(genotype).digest)
    assert all(len(found) == 1 for found in digests.values())
    assert len(set.union(*digests.values())) == len(digests) > 100


@pytest.mark.parametrize("genotype", [ZERO, IDENTITY, POOL], ids=["zero", "identity", "pool"])
def test_cells_without_convolutions_build_and_export(genotype):
    own = small()
    architecture = own.decode(genotype)
    network = Network(architecture, seed=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            # Biases, so that zeros do not stay zeros.
            if parameter.ndim == 1:
                parameter.add_(0.1)
    model = network_to_onnx(network)
    images = torch.randn(2, *architecture.input_shape, generator=torch.manual_seed(0))
    assert max_abs_error(network, model, runtime("onnxruntime").run, images) <= 1e-4
    for block in architecture.placed:
        part = block_part(block)
        feeds = {"input": np.ones((1, *block.input_shape), np.float32)}
        assert np.isfinite(runtime("onnxruntime").run(part.model, feeds)["output"]).all()


def test_a_cell_that_gives_what_it_receives_is_left_out():
    kinds = [spec.kind for spec in small(cells=2).decode(IDENTITY).blocks]
    # The last cell stays: the network's last batch norm and ReLU are in it.
    assert kinds == [
        "conv",
        "nasbench_reduction",
        "nasbench_reduction",
        "nasbench_cell",
        "classifier",
    ]


def test_networks_are_the_sum_of_their_blocks_and_fused_as_the_runtime_does():
    """All but the last batch norm, which stands alone and runs as a convolution."""
    own = small(cells=2)
    for genotype in own.sample(np.random.default_rng(3), 40).tolist():
        architecture = own.decode(genotype)
        model = architecture_to_onnx(architecture)
        lowered = lower(model, FUSION["onnxruntime"])
        assert lowered.kernels == architecture_kernels(architecture)
        assert not lowered.not_covered
        ours = sum(lowered.kernels.values())
        theirs = runtime("onnxruntime").fused_graph(model.SerializeToString())
        # Alone behind a sum it is two of ours and one of theirs.
        alone = any(kernel.op == "BatchNormalization" for kernel in lowered.kernels)
        assert ours - alone == sum(theirs.values())


@pytest.mark.parametrize(("size", "says"), [(30, "multiple of 4, received 30"), (2, "too small")])
def test_images_that_cannot_be_halved_twice_are_refused(size, says):
    with pytest.raises(SpecError, match=says):
        space(f"nasbench201:image_size={size}")
