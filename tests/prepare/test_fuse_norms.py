"""Norms written out in the forms that exporters give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qconv.prepare.fuse_norms import fuse_norms

from .graphs import changes, graph, node, ops

CONSTANTS: dict[str, NDArray[Any]] = {
    "one": np.array(1, np.float32),
    "two": np.array(2, np.float32),
    "half": np.array(-0.5, np.float32),
    "eps": np.array(1e-6, np.float32),
    "axes": np.array([-1], np.int64),
}
CENTERED = [node("ReduceMean", "x axes", "a"), node("Sub", "x a", "c")]
POWER = [*CENTERED, node("Pow", "c two", "s"), node("ReduceMean", "s axes", "m"), node("Add", "m eps", "e")]
ROOT = [*POWER, node("Sqrt", "e", "r")]
FORMS = {
    "a quotient": [*ROOT, node("Div", "c r", "y")],
    "the product with a reciprocal": [*ROOT, node("Reciprocal", "r", "i"), node("Mul", "c i", "y")],
    "the product with the quotient of one": [*ROOT, node("Div", "one r", "i"), node("Mul", "c i", "y")],
    "the product with a power": [*POWER, node("Pow", "e half", "i"), node("Mul", "i c", "y")],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_layer_norm_is_one_node(form: str) -> None:
    model = graph([node("Relu", "w", "x"), *FORMS[form]], {"w": (5, 8)}, "y", CONSTANTS)
    assert changes(fuse_norms, model) == 1
    assert ops(model) == ["Relu", "LayerNormalization"]


def test_the_quotient_of_what_is_computed_is_none() -> None:
    model = graph(
        [node("Relu", "w", "x"), *ROOT, node("Div", "m r", "i"), node("Mul", "c i", "y")], {"w": (5, 8)}, "y", CONSTANTS
    )
    assert changes(fuse_norms, model) == 0
