from __future__ import annotations

import onnx_ir as ir

from qconv.model.pieces import pieces


def value(name: str, *shape: int | str, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def names(values: list[ir.Value], limit: int) -> list[str]:
    return ["".join(str(value.name) for value in piece) for piece in pieces(values, limit)]


def test_pieces_keep_the_order_and_the_limit() -> None:
    values = [value("a", 10), value("b", 15), value("c", 2), value("d", 100), value("e", 1), value("f", 1)]
    assert names(values, 100) == ["ab", "c", "d", "ef"]
    assert names([], 100) == []


def test_bytes_are_those_of_the_type() -> None:
    assert names([value(name, 50, dtype=ir.DataType.UINT8) for name in "abc"], 100) == ["ab", "c"]


def test_unknown_sizes() -> None:
    assert names([value(name, "N", 20) for name in "abc"], 160) == ["ab", "c"]
    assert names([value("a", 1, "W"), value("b", 35), value("c", 6)], 160) == ["ab", "c"]
    assert names([ir.Value(name="a"), value("b", 35), value("c", 6)], 160) == ["ab", "c"]
