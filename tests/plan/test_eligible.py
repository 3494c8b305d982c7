"""Which nodes stay in float, and with which sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from qconv.config import QuantConfig
from qconv.errors import UsageError
from qconv.pipeline import load_prepared
from qconv.plan.eligible import float_nodes
from tests.lower.harness import Array, normal, write_model


def reasons(folder: Path, body: str, weights: dict[str, Array], exclude: tuple[str, ...] = ()) -> dict[str, str]:
    text = f"g (float[1,4,6,6] x) => (float[1,4,6,6] y) {{ {body} }}"
    return float_nodes(load_prepared(write_model(folder / "m.onnx", text, weights)).ir.graph, exclude)


def test_nothing_stays_in_float_because_of_what_stands_beside_it(tmp_path: Path) -> None:
    body = "c = Conv(x, w) s = RandomNormalLike(c) d = Sub(c, s) q = Mul(d, d) y = Conv(q, w)"
    assert reasons(tmp_path, body, {"w": normal(4, 4, 1, 1)}).keys() == {"randomnormallike1"}


def test_a_selection_beside_a_float_node_stays_integer_and_one_between_two_does_not(tmp_path: Path) -> None:
    body = "c = Conv(x, w) r = Relu(c) s = RandomNormalLike(r) t = Relu(s) u = RandomNormalLike(t) y = Conv(u, w)"
    found = reasons(tmp_path, body, {"w": normal(4, 4, 1, 1)})
    assert "relu1" not in found
    assert found["relu3"] == (
        "every neighbour of it is float (randomnormallike2, randomnormallike4), so integers would only add error; it becomes "
        "integer once one of them does"
    )


def test_excluded_nodes_do_not_draw_others_along(tmp_path: Path) -> None:
    body = "c = Conv(x, w) s = Add(c, x) r = Relu(s) y = Conv(r, w)"
    assert reasons(tmp_path, body, {"w": normal(4, 4, 1, 1)}, ("conv0",)) == {"conv0": "excluded by 'conv0'"}


def test_a_matmul_that_took_its_bias_is_still_found_by_its_own_op_type(tmp_path: Path) -> None:
    body = "m = MatMul(x, w) a = Add(m, b) y = Relu(a)"
    found = reasons(tmp_path, body, {"w": normal(6, 6), "b": normal(6)}, ("MatMul",))
    assert found == {"matmul0": "excluded by 'MatMul'"}


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'typo"):
        reasons(tmp_path, "y = Relu(x)", {}, ("typo*",))


def test_who_prefers_speed_has_recurrent_layers_in_float(tmp_path: Path) -> None:
    text = "g (float[5, 2, 3] x) => (float[5, 1, 2, 4] y) { h = RNN<hidden_size = 4>(x, w, r) y = Relu(h) }"
    path = write_model(tmp_path / "m.onnx", text, {"w": normal(1, 4, 3), "r": normal(1, 4, 4)})
    graph = load_prepared(path).ir.graph
    assert float_nodes(graph) == {}
    assert list(float_nodes(graph, prefer="speed").values()) == [
        "it takes 2 to 16 times float's time in integers; --prefer integer makes it integer"
    ]


def test_speed_and_integers_alone_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="leave one of them out"):
        QuantConfig(prefer="speed", integer_only=True)
