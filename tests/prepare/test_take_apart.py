from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from qconv.model.load import load
from qconv.model.session import open_session
from qconv.prepare.take_apart import take_apart
from tests.lower.harness import Array, normal
from tests.prepare.graphs import write_graph

# what is behind c = Concat(a, b), [N, 8, 6] of [N, 4, 6] each; whether the parts come apart
CHAINS = {
    "sliced": ("y = Slice(c, zero, four, one, one) z = Slice(c, four, eight, one, one)", True),
    "split": ("y, z = Split<axis=1>(c, halves)", True),
    "turned": ("t = Transpose<perm=[2,0,1]>(c) y, z = Split<axis=2>(t, halves)", True),
    "stacked": ("t = Reshape(c, stack) i = Gather<axis=1>(t, first) y = Relu(i) z = Gather<axis=1>(t, second)", True),
    "stacked and turned": (
        "t = Reshape(c, stack) u = Transpose<perm=[1,0,3,2]>(t) y = Gather<axis=0>(u, first) z = Gather<axis=0>(u, second)", True,
    ),
    "flat": ("t = Flatten(c) y, z = Split<axis=1>(t, rows)", True),
    "one of them in part": ("y = Slice(c, five, eight, one, one) z = Slice(c, zero, four, one, one)", True),
    "along another axis before": (
        "s = Slice(c, zero, four, two, one) t = Unsqueeze(s, zero) y, z = Split<axis=2>(t, halves)", True,
    ),
    "across both": ("y = Slice(c, two, five, one, one) z = Relu(c)", False),
    "every second": ("y = Slice(c, zero, eight, one, two) z = Relu(c)", False),
    "mixed": ("t = Reshape(c, mix) y = Gather<axis=2>(t, first) z = Relu(c)", False),
}  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
CONSTANTS: dict[str, Array] = {
    **{name: np.asarray([number]) for number, name in enumerate(NUMBERS)},
    "halves": np.asarray([4, 4]), "rows": np.asarray([24, 24]), "stack": np.asarray([0, 2, 4, 6]),
    "mix": np.asarray([-1, 4, 2, 6]), "first": np.asarray(0), "second": np.asarray(1),
}  # fmt: skip


def _model(folder: Path, body: str) -> Path:
    text = f"g (float[N,4,6] x) => (float y, float z) {{ a = Neg(x) b = Exp(x) c = Concat<axis=1>(a, b) {body} }}"
    return write_graph(folder, text, {name: array for name, array in CONSTANTS.items() if name in body})


@pytest.mark.parametrize("chain", CHAINS)
def test_parts_that_are_taken_out_whole_pass_the_concat_by(tmp_path: Path, chain: str) -> None:
    body, apart = CHAINS[chain]
    path = _model(tmp_path, body)
    model = load(path).ir
    assert bool(take_apart(model)) == apart
    assert apart != any(node.op_type == "Concat" for node in model.graph)
    feed = {"x": normal(3, 4, 6)}
    for right, found in zip(open_session(path).run(None, feed), open_session(model).run(None, feed), strict=True):
        assert right.shape == found.shape and (right == found).all()
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_a_concat_that_others_read_stays_beside_what_passes_it_by(tmp_path: Path) -> None:
    model = load(_model(tmp_path, "y = Slice(c, zero, four, one, one) z = Relu(c)")).ir
    assert take_apart(model) == 1
    maker = next(value.producer() for value in model.graph.outputs if value.name == "y")
    assert maker is not None and maker.op_type == "Identity"
