from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hwnas.kernels import FUSION, lower
from hwnas.kernels.subgraphs import captured

RULES = FUSION["onnxruntime"]
IMAGE = [1, 8, 6, 6]
info, node = helper.make_tensor_value_info, helper.make_node


def conv(source, output):
    return node("Conv", [source, "w"], [output], kernel_shape=[3, 3], pads=[1] * 4)


def model(nodes, constants=(), inputs=(), functions=(), output=IMAGE):
    weight = numpy_helper.from_array(np.ones((8, 8, 3, 3), np.float32), "w")
    named = [numpy_helper.from_array(np.array(value), name) for name, value in constants]
    graph = helper.make_graph(
        nodes, "g", [info("x", 1, IMAGE), *inputs], [info("y", 1, output)], [weight, *named]
    )
    found = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("own", 1)],
        functions=list(functions),
        ir_version=10,
    )
    onnx.checker.check_model(found)
    return found


def branches():
    """One that convolves, its inner tensor named as in the other, and one that passes on."""
    long = helper.make_graph(
        [conv("x", "t"), node("Relu", ["t"], ["o"])], "long", [], [info("o", 1, IMAGE)]
    )
    short = helper.make_graph([node("Sigmoid", ["x"], ["t"])], "short", [], [info("t", 1, IMAGE)])
    return {"then_branch": long, "else_branch": short}


def names(lowered):
    return Counter({"+".join((k.op, *k.fused)): n for k, n in lowered.kernels.items()})


@pytest.mark.parametrize(
    ("condition", "kernels"),
    [(True, {"Conv+Relu": 1, "Tanh": 1}), (False, {"Sigmoid": 1, "Tanh": 1})],
)
def test_a_constant_condition_takes_its_branch(condition, kernels):
    nodes = [node("If", ["c"], ["i"], **branches()), node("Tanh", ["i"], ["y"])]
    found = lower(model(nodes, [("c", condition)]), RULES)
    assert names(found) == kernels
    assert not found.not_covered


def test_a_branch_may_pass_on_what_is_outside_and_hold_constants_and_branches():
    weight = numpy_helper.from_array(np.full((8, 8, 3, 3), 2.0, np.float32), "own")
    inner = helper.make_graph(
        [node("Conv", ["x", "own"], ["deep"], pads=[1] * 4)], "in", [], [info("deep", 1, IMAGE)]
    )
    outer = helper.make_graph(
        [node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)],
        "out",
        [],
        [info("o", 1, IMAGE), info("x", 1, IMAGE)],
        [weight],
    )
    nodes = [
        node("If", ["c"], ["a", "b"], then_branch=outer, else_branch=outer),
        node("Add", ["a", "b"], ["y"]),
    ]
    # ONNX's checker wants branches to define what they give; runtimes do not.
    unchecked = model([node("Relu", ["x"], ["y"])], [("c", True)])
    del unchecked.graph.node[:]
    unchecked.graph.node.extend(nodes)
    assert names(lower(unchecked, RULES)).total() == 2


def test_a_condition_that_is_fed_is_not_covered_and_what_its_branches_read_is_kept():
    nodes = [
        conv("x", "k"),
        node("Relu", ["k"], ["r"]),
        node("If", ["c"], ["i"], **_reading("k")),
        node("Add", ["i", "r"], ["y"]),
    ]
    found = lower(model(nodes, inputs=[info("c", 9, [])]), RULES)
    assert found.not_covered == {"If": 1, "Add": 1}
    # The convolution gives what the branches read, so the rectifier cannot be part of it.
    assert names(found) == {"Conv": 1, "Relu": 1}


def _reading(tensor):
    graphs = [
        helper.make_graph([node("Neg", [tensor], [out])], out, [], [info(out, 1, None)])
        for out in ("p", "q")
    ]
    return {"then_branch": graphs[0], "else_branch": graphs[1]}


def test_what_is_captured_is_read_from_outside():
    assert captured(node("If", ["c"], ["i"], **_reading("k"))) == {"k"}
    assert captured(node("Loop", ["n", "c", "x"], ["y"], body=body())) == {"w"}


def body(state=IMAGE, going="go", grown=False):
    steps = [conv("s", "t"), node("Identity", [going], ["on"])]
    last = "t"
    if grown:
        steps.append(node("Concat", ["t", "t"], ["u"], axis=0))
        last = "u"
    return helper.make_graph(
        steps,
        "body",
        [info("i", 7, []), info("go", 9, []), info("s", 1, state)],
        [info("on", 9, []), info(last, 1, None)],
    )


def test_a_loop_of_a_constant_number_of_trips_counts_its_body_so_often():
    nodes = [node("Loop", ["n", "", "x"], ["l"], body=body()), conv("l", "y")]
    found = lower(model(nodes, [("n", 5)]), RULES)
    assert names(found) == {"Conv": 6}
    assert not found.not_covered
    none = lower(model(nodes, [("n", 0)]), RULES)
    assert names(none) == {"Conv": 1}


def test_what_a_loop_stacks_has_a_row_for_each_trip():
    stacked = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Identity", ["x"], ["row"])],
        "body",
        [info("i", 7, []), info("go", 9, [])],
        [info("on", 9, []), info("row", 1, None)],
    )
    nodes = [node("Loop", ["n", "go0"], ["l"], body=stacked), node("Relu", ["l"], ["y"])]
    found = lower(model(nodes, [("n", 5), ("go0", True)], output=[5, *IMAGE]), RULES)
    assert [kernel.outputs for kernel in found.kernels] == [((5, *IMAGE),)]


@pytest.mark.parametrize("trips", ["fed", "grows", "stops"])
def test_loops_whose_work_depends_on_values_are_not_covered(trips):
    inner = body(grown=trips == "grows")
    if trips == "stops":
        inner.node[1].CopyFrom(node("Not", ["go"], ["on"]))
    inputs = [info("n", 7, [])] if trips == "fed" else []
    constants = [] if trips == "fed" else [("n", 5)]
    nodes = [node("Loop", ["n", "", "x"], ["y"], body=inner)]
    found = lower(model(nodes, constants, inputs, output=["a", "b", "c", "d"]), RULES)
    assert found.not_covered == {"Loop": 1} and not found.kernels


def test_what_a_model_defines_itself_is_written_out():
    own = helper.make_function(
        "own",
        "Twice",
        ["a", "w"],
        ["b"],
        [conv("a", "m"), node("Relu", ["m"], ["n"]), conv("n", "b")],
        [helper.make_opsetid("", 20)],
    )
    found = lower(model([node("Twice", ["x", "w"], ["y"], domain="own")], functions=[own]), RULES)
    assert names(found) == {"Conv": 1, "Conv+Relu": 1}
    assert not found.not_covered
