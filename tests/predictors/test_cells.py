import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.predictors.cells import (
    CELLS,
    CONVOLUTION_MACS,
    OPERATIONS,
    OUTSIDE_MACS,
    cell_costs,
    cell_features,
    cell_macs,
    cell_parameters,
    gene_features,
    parse_cell,
)
from hwnas.spaces import space

# Nothing leads on from node 2, which is an end of the first and the third edge.
DEAD_END = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"


def test_a_string_is_read_edge_by_edge():
    assert parse_cell(DEAD_END) == (
        *("nor_conv_3x3", "none", "nor_conv_1x1"),
        *("skip_connect", "none", "none"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        DEAD_END.replace("none", "conv_9x9"),
        DEAD_END.replace("nor_conv_1x1~1", "nor_conv_1x1~0"),
    ],
)
def test_what_is_no_architecture_is_refused(text):
    with pytest.raises(RequestError, match="is no NAS-Bench-201 architecture; expected"):
        parse_cell(text)


def test_counts_tell_what_is_there_from_what_leads_to_the_output():
    counts, by_edge = cell_features([DEAD_END])
    assert counts.shape == (1, 8) and by_edge.shape == (1, 24)
    there = dict(zip(OPERATIONS, counts[0, :4], strict=True))
    assert there == {"skip_connect": 1, "nor_conv_1x1": 1, "nor_conv_3x3": 1, "avg_pool_3x3": 0}
    # Only the skip from the input to the output counts.
    assert counts[0, 4:].tolist() == [1, 0, 0, 0]
    assert by_edge.sum() == 3 and by_edge[0, OPERATIONS.index("nor_conv_3x3")] == 1


def test_macs_are_those_of_the_convolutions():
    none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert cell_macs([none])[0] == OUTSIDE_MACS
    assert cell_macs([DEAD_END])[0] == OUTSIDE_MACS + 10 * CELLS * CONVOLUTION_MACS


def test_parameters_are_those_of_the_networks():
    full = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    full += "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert cell_parameters([full])[0] == space("nasbench201").decode([3] * 6).parameters
    smallest, single = cell_parameters([full.replace("nor_conv_3x3", "none"), DEAD_END])
    # A convolution of each size and its batch norm in the five cells of 16, 32 and 64 channels.
    assert single - smallest == sum(5 * (10 * c * c + 4 * c) for c in (16, 32, 64))


def test_genes_become_sizes_and_settings():
    genes = np.array([[0, 3], [1, 5], [0, 7]])
    sizes, settings = gene_features(genes)
    assert (sizes == genes).all()
    # Two settings are told apart by the size; three need a column each.
    assert settings.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_what_a_device_pays_for_is_all_or_what_leads_to_the_output():
    there, on_way = cell_costs([DEAD_END])
    assert there[0].tolist() == [3, 1, 1, 1, 0]
    assert on_way[0].tolist() == [3, 1, 0, 0, 0]
