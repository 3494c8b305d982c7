from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qconv.model.graph import attr_float, attr_int, const_array
from qconv.prepare.normalize_gemm import normalize_gemm

from .graphs import changes, graph, node, ops, positive, rand

ODD: list[dict[str, Any]] = [{"alpha": 0.5}, {"beta": 2.0}, {"beta": 0.0}, {"alpha": 2.0, "beta": -1.0}, {"transA": 1}]


@pytest.mark.parametrize("attributes", ODD)
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [(4,), (1, 4), (), (1,), (1, 1), (3, 1), (3, 4), None])
def test_every_form_becomes_plain(attributes: dict[str, Any], trans_b: int, bias: tuple[int, ...] | None) -> None:
    constants = {"w": rand(*((4, 5) if trans_b else (5, 4)))} | ({} if bias is None else {"b": positive(*bias)})
    step = node("Gemm", "x w" if bias is None else "x w b", "y", transB=trans_b, **attributes)
    model = graph([step], {"x": (5, 3) if attributes.get("transA") else (3, 5)}, "y", constants)
    changes(normalize_gemm, model)
    (gemm,) = (found for found in model.graph if found.op_type == "Gemm")
    assert (attr_float(gemm, "alpha", 1.0), attr_float(gemm, "beta", 1.0), attr_int(gemm, "transA", 0)) == (1, 1, 0)
    added = const_array(gemm.inputs[2]) if len(gemm.inputs) > 2 else None
    assert added is None or added.shape == (4,)
    assert changes(normalize_gemm, model) == 0


def test_a_plain_gemm_stays() -> None:
    model = graph([node("Gemm", "x w b", "y")], {"x": (3, 5)}, "y", {"w": rand(5, 4), "b": rand(4)})
    assert changes(normalize_gemm, model) == 0


def test_computed_operands_are_scaled_where_they_are() -> None:
    step = node("Gemm", "x w b", "y", alpha=2.0, beta=0.5)
    model = graph([step], {"x": (3, 5), "w": (5, 4), "b": (3, 4)})
    assert changes(normalize_gemm, model) == 1
    assert ops(model) == ["Mul", "Gemm", "Mul", "Add"]
    assert [step.name for step in model.graph][1] == "node_y"


def test_a_shared_bias_stays_for_the_other() -> None:
    nodes = [node("Gemm", "x w b", "y", beta=3.0), node("Gemm", "x w b", "z", alpha=2.0)]
    constants = {"w": rand(5, 4), "b": rand(4)}
    model = graph(nodes, {"x": (3, 5)}, "y z", constants)
    assert changes(normalize_gemm, model) == 2
    assert np.array_equal(const_array(model.graph[1].inputs[2]), constants["b"])  # type: ignore[arg-type]
