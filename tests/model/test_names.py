from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from qconv.model.load import load
from qconv.model.names import Names, name_everything

from .files import write

SUBGRAPHS = """<ir_version: 10, opset_import: ["" : 21]>
g (bool c, float[2] x) => (float[2] y)
{ s = Abs(x)
  y = If (c) <
    then_branch = t () => (float[2] a) { u = Neg(s)  a = Relu(u) },
    else_branch = e () => (float[2] b) { b = Neg(x) }> }"""


def graph() -> ir.Graph:
    return ir.from_proto(onnx.parser.parse_model(SUBGRAPHS)).graph


def test_fresh_names_collide_with_nothing() -> None:
    names = Names(graph())
    assert [names.fresh(wish) for wish in ("new", "x", "u", "a", "new")] == ["new", "x_2", "u_2", "a_2", "new_2"]


def test_value_and_node_names_are_apart() -> None:
    nodes = graph()
    nodes[0].name = "n"
    names = Names(nodes)
    assert names.fresh("n") == "n"
    assert names.fresh_node("x") == "x"
    assert names.fresh_node("n") == "n_2"


def test_nameless_nodes_are_named_after_their_output(tmp_path: Path) -> None:
    model = load(write(tmp_path, SUBGRAPHS)).ir
    assert [node.name for node in model.graph.all_nodes()] == ["s", "y", "u", "a", "b"]


def test_existing_names_survive_and_the_first_of_equal_names_keeps_it() -> None:
    model = ir.from_proto(onnx.parser.parse_model(SUBGRAPHS))
    for node, name in zip(model.graph.all_nodes(), ["same", "If/body", "", "same", "s"], strict=True):
        node.name = name
    name_everything(model)
    assert [node.name for node in model.graph.all_nodes()] == ["same", "If/body", "u", "same_2", "s"]


def test_values_of_two_branches_get_different_names(tmp_path: Path) -> None:
    text = SUBGRAPHS.replace("float[2] b", "float[2] a").replace("b = Neg", "a = Neg")
    model = load(write(tmp_path, text)).ir
    values = [value.name for node in model.graph.all_nodes() for value in node.outputs]
    assert values == ["s", "y", "u", "a", "a_2"]


def test_outputs_left_out_stay_nameless(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    g (float[3, 1, 2] x, float[1, 4, 2] w, float[1, 4, 1] r) => (float[1, 1, 1] h) { , h = LSTM <hidden_size = 1> (x, w, r) }"""
    proto = onnx.parser.parse_model(text.replace("{ , h", "{ q, h"))
    proto.graph.node[0].output[0] = ""
    model = load(write(tmp_path, proto)).ir
    assert [node.name for node in model.graph] == ["h"]
    assert not model.graph[0].outputs[0].name


def test_names_are_the_same_every_time(tmp_path: Path) -> None:
    path = write(tmp_path, SUBGRAPHS)
    first, second = ([node.name for node in load(path).ir.graph.all_nodes()] for _ in range(2))
    assert first == second
