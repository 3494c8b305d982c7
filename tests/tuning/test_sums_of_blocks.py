"""Sums of blocks of a row are products with one column; the codes are those of a product with a column for each block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.model.graph import const_array
from tests.lower.harness import normal, tuned_and_plain


@pytest.mark.parametrize("batch", ["1", "n"])
def test_products_with_one_column(batch: str, tmp_path: Path) -> None:
    text = f"g (float[{batch},16,384] x) => (float[{batch},16,384] y) {{ y = LayerNormalization(x, g, b) }}"
    used = {"g": 1 + normal(384, seed=2, scale=0.1), "b": normal(384, seed=3)}
    tuned, plain = tuned_and_plain(tmp_path, text, used, [{"x": normal(1, 16, 384, seed=i)} for i in range(3)])
    columns = [const_array(node.inputs[1]) for node in tuned.quantized.model.graph if node.op_type == "MatMul"]
    assert columns and all(array is not None and array.shape[-1] == 1 and np.all(array == 1) for array in columns)
    assert any(node.op_type == "ReduceSum" for node in plain.quantized.model.graph)
