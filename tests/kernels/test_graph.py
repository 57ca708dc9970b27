import numpy as np

from hwnas.kernels.graph import Graph, Node


def chain():
    nodes = [Node("Relu", ["x"], ["a"]), Node("Abs", ["a"], ["b"]), Node("Add", ["a", "b"], ["y"])]
    types = {name: ((2,), "float32") for name in "xaby"}
    return Graph(nodes, types, {"c": np.array(2.0)}, {"c"}, ["y"])


def test_what_is_read_once_is_inner():
    graph = chain()
    assert graph.inner("b", "Abs").op == "Abs"
    assert graph.inner("a") is None
    assert graph.producer("a", "Relu").outputs == ["a"]
    assert graph.producer("x") is None


def test_replacing_and_dropping_keep_counts():
    graph = chain()
    graph.replace([graph.producer("b")], [Node("Neg", ["a"], ["b"])])
    assert [node.op for node in graph.nodes] == ["Relu", "Neg", "Add"]
    assert graph.uses["a"] == 2
    graph.drop(graph.producer("b"), "a")
    assert graph.nodes[-1].inputs == ["a", "a"]
    assert graph.uses["a"] == 2 and graph.uses["b"] == 0
    graph.drop(graph.producer("a"), "x")
    assert graph.nodes[-1].inputs == ["x", "x"] and graph.uses["x"] == 2


def test_chains_are_dropped_at_once():
    graph = chain()
    graph.drop_all([(graph.producer("a"), "x"), (graph.producer("b"), "a")])
    assert [node.inputs for node in graph.nodes] == [["x", "x"]]


def test_what_nothing_reads_is_swept():
    graph = chain()
    graph.discard([graph.producer("y")])
    graph.sweep()
    assert graph.nodes == []


def test_constants_are_told_by_value():
    graph = chain()
    assert graph.scalar("c") == 2.0 and graph.scalar("x") is None
    assert graph.integers("c") is None
    assert graph.shape("x") == (2,) and graph.shape("c") is None
