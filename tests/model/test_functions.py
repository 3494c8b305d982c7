from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from qconv.errors import ModelError
from qconv.model.functions import MOST_NODES, check_functions


def twice(name: str, called: str) -> onnx.FunctionProto:
    nodes = [helper.make_node(called, [a], [b], domain="own") for a, b in (("a", "b"), ("b", "c"))]
    return helper.make_function("own", name, ["a"], ["c"], nodes, [helper.make_opsetid("own", 1)])


def model(*functions: onnx.FunctionProto, call: str) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(call, ["x"], ["y"], domain="own")], "g", ends[:1], ends[1:])
    return helper.make_model(graph, functions=list(functions))


def test_functions_that_double_are_counted_and_not_expanded() -> None:
    doubling = [twice(f"f{k}", f"f{k - 1}" if k else "leaf") for k in range(64)]
    check_functions(model(*doubling, call="f18"))  # 2^19 nodes
    assert 2**19 < MOST_NODES < 2**64
    with pytest.raises(ModelError, match="expand to 18,446,744,073,709,551,616 nodes"):
        check_functions(model(*doubling, call="f63"))


@pytest.mark.parametrize("functions", [[twice("f", "f")], [twice("f", "g"), twice("g", "f")]], ids=["itself", "each other"])
def test_functions_that_call_themselves(functions: list[onnx.FunctionProto]) -> None:
    with pytest.raises(ModelError, match="calls itself"):
        check_functions(model(*functions, call="f"))
