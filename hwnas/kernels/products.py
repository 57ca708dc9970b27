"""Products of matrices as a runtime rewrites them: biases, scales, transposes, reshapes."""

import math

from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.patterns import ways


def _fresh(graph: Graph, stem: str, like: str, shape: tuple[int, ...]) -> str:
    name = f"{stem}@{like}"
    graph.types[name] = (shape, graph.types[like][1])
    return name


def product_bias(graph: Graph) -> None:
    """A product with a matrix and a bias to ``Gemm``, between reshapes where it is batched."""
    for node in list(graph.nodes):
        if node.op != "Add" or node.domain:
            continue
        for product, bias in ways(node.inputs):
            multiply = graph.inner(product, "MatMul")
            if multiply is not None and _bias(graph, node, multiply, bias):
                break


def _bias(graph: Graph, node: Node, multiply: Node, bias: str) -> bool:
    data, matrix = multiply.inputs[:2]
    left, right, added = graph.shape(data), graph.shape(matrix), graph.shape(bias)
    if left is None or right is None or added is None or len(right) != 2 or len(left) < 2:
        return False
    if graph.types[data][1] not in ("float32", "float64") or node.outputs[0] not in graph.types:
        return False
    inner, outer = right
    rows = math.prod(left[:-1])
    fits = added == (outer,) or (len(left) == 2 and added in ((rows, outer), (1, outer)))
    if not fits or graph.shape(node.outputs[0]) != (*left[:-1], outer):
        return False
    plain = {"transA": 0, "transB": 0}
    if len(left) == 2:
        new = [Node("Gemm", [data, matrix, bias], node.outputs, plain)]
    else:
        output = node.outputs[0]
        flat = _fresh(graph, "flat", output, (rows, inner))
        made = _fresh(graph, "made", output, (rows, outer))
        new = [
            Node("Reshape", [data], [flat]),
            Node("Gemm", [flat, matrix, bias], [made], plain),
            Node("Reshape", [made], [output]),
        ]
    graph.replace([multiply, node], new)
    return True


def product_sum(graph: Graph) -> None:
    """A ``Sum`` of a product without a bias and one other tensor is the product's bias."""
    for node in list(graph.nodes):
        if node.op != "Sum" or node.domain:
            continue
        for product, other in ways(node.inputs):
            gemm = graph.inner(product, "Gemm")
            if gemm is not None and len(gemm.inputs) == 2 and graph.shape(other):
                new = Node("Gemm", [*gemm.inputs, other], node.outputs, gemm.attributes)
                graph.replace([gemm, node], [new])
                break


def product_transpose(graph: Graph) -> None:
    """A swap of the last two axes that a product reads is the product's own."""
    for node in list(graph.nodes):
        if node.op != "MatMul" or node.domain:
            continue
        inputs, attributes = list(node.inputs), dict(node.attributes)
        old: list[Node] = []
        for side, name in enumerate(("transA", "transB")):
            swap = graph.inner(inputs[side], "Transpose")
            shape = graph.shape(inputs[side])
            if swap is None or shape is None or len(shape) < 2:
                continue
            order = list(range(len(shape)))
            order[-2:] = order[:-3:-1]
            if graph.types[inputs[side]][1] != "float32":
                continue
            if tuple(swap.attributes.get("perm", order[::-1])) == tuple(order):
                inputs[side] = swap.inputs[0]
                attributes[name] = 1
                old.append(swap)
        if old:
            graph.replace([*old, node], [Node("MatMul", inputs, node.outputs, attributes)])


def product_scale(graph: Graph) -> None:
    """Constant factors before and after a product are the product's own."""
    for node in list(graph.nodes):
        if node.op != "MatMul" or node.domain:
            continue
        if graph.types.get(node.outputs[0], ((), ""))[1] != "float32":
            continue
        inputs, old, output = list(node.inputs), [node], node.outputs
        for side in range(2):
            factor = graph.inner(inputs[side], "Mul", "Div")
            source = _factor(graph, factor)
            if factor is not None and source is not None:
                inputs[side] = source
                old.insert(0, factor)
        while graph.uses[output[0]] == 1:
            after = next(
                (n for n in graph.nodes if output[0] in n.inputs and n.op in ("Mul", "Div")), None
            )
            if after is None or _factor(graph, after) != output[0]:
                break
            old.append(after)
            output = after.outputs
        if len(old) > 1:
            graph.replace(old, [Node("MatMul", inputs, output, node.attributes)])


def _factor(graph: Graph, node: Node | None) -> str | None:
    """What a node multiplies or divides by a constant of one element."""
    if node is None or len(node.inputs) != 2:
        return None
    pairs = ways(node.inputs) if node.op == "Mul" else iter([(node.inputs[0], node.inputs[1])])
    for data, constant in pairs:
        if graph.scalar(constant) is not None and data not in graph.constants:
            return data
    return None


def reshape_chain(graph: Graph) -> None:
    """A reshape of a reshape is one; one that changes nothing is none."""
    for node in list(graph.nodes):
        if node.op == "Reshape":
            first = graph.inner(node.inputs[0], "Reshape")
            if first is not None:
                new = Node("Reshape", [first.inputs[0]], node.outputs, node.attributes)
                graph.replace([first, node], [new])
        elif node.op in ("Squeeze", "Unsqueeze"):
            other = "Unsqueeze" if node.op == "Squeeze" else "Squeeze"
            first = graph.inner(node.inputs[0], other)
            if first is not None and graph.shape(first.inputs[0]) == graph.shape(node.outputs[0]):
                source = first.inputs[0]
                graph.drop(node, source)
                graph.drop(first, source)
