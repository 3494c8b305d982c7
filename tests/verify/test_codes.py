from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.errors import ModelError
from qconv.integer.program import Program
from qconv.integer.step import Operand
from qconv.quant.types import INT8, QuantParams
from qconv.verify.measure.codes import border_codes, final_codes
from tests.lower.harness import normal, quantize_graph
from tests.verify.twins import integer_twin

TENSORS = frozenset({"x", "c", "r", "y"})


def test_the_last_node_of_a_tensor_holds_its_codes() -> None:
    codes = final_codes(Program.read(integer_twin()), TENSORS)
    assert {tensor: item.value.name for tensor, item in codes.items()} == {
        "x": "x_quantized",
        "r": "r_quantized",
        "y": "y_quantized",
    }
    assert (float(codes["y"].params.scale), int(codes["y"].params.zero_point)) == (2.0, 60)


def test_tensors_that_the_float_graph_lacks_are_left_out() -> None:
    assert list(final_codes(Program.read(integer_twin()), frozenset({"r"}))) == ["r"]


def test_codes_are_clipped_as_the_graph_clips_them() -> None:
    codes = final_codes(Program.read(integer_twin()), TENSORS)["r"]
    assert (codes.lowest, codes.highest) == (100, 255)
    assert codes.quantize(np.array([-5.0, 0.0, 3.4, 1e6], np.float32)).tolist() == [100, 100, 103, 255]
    assert codes.dequantize(np.array([100, 103], np.uint8)).tolist() == [0.0, 3.0]


def test_channels_that_only_the_integer_graph_has_are_zero() -> None:
    codes = final_codes(Program.read(integer_twin()), TENSORS)["y"]
    codes.value.shape = ir.Shape([1, 4, 2])
    real = np.array([[[2.0, 4.0], [6.0, 8.0]]], np.float32)
    found = codes.quantize(real)
    assert found.tolist() == [[[61, 62], [63, 64], [60, 60], [60, 60]]]
    assert codes.dequantize(found, 2).tolist() == real.tolist()


def test_names_carry_no_meaning(tmp_path: Path) -> None:
    text = """g (float[1,4,6,6] x) => (float[1,4,6,6] y_quantized) {
        q = Conv(x, w)
        q_quantized = Relu(q)
        y_quantized = Conv(q_quantized, v)
    }"""
    weights = {name: normal(4, 4, 1, 1, seed=seed) for seed, name in enumerate("wv")}
    result = quantize_graph(tmp_path, text, weights, [{"x": normal(1, 4, 6, 6)}])
    codes = final_codes(result.quantized.lowering.program, frozenset({"x", "q", "q_quantized", "y_quantized"}))
    assert list(codes) == ["x", "q_quantized", "y_quantized"]


def test_damaged_metadata_is_one_sentence() -> None:
    model = integer_twin()
    model.graph.node("add").metadata_props["qconv.scale"] = "two"
    with pytest.raises(ModelError, match="metadata of node add is damaged"):
        final_codes(Program.read(model), TENSORS)


def test_border_of_floats_has_no_codes() -> None:
    assert border_codes(Program.read(integer_twin()).inputs[0]) is None


def test_border_of_codes_must_say_its_scale() -> None:
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.INT8))
    with pytest.raises(ModelError, match=r"qconv\.scale"):
        border_codes(Operand(value))
    codes = border_codes(Operand(value, QuantParams(np.asarray(0.5, np.float32), np.asarray(-3), INT8)))
    assert codes is not None
    assert codes.quantize(np.array([0.0, 1.0, -1000.0], np.float32)).tolist() == [-3, -1, -128]
