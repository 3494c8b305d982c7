"""What the standard has from opset 23 on computes the same when it is written with opset 21, and becomes integer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qconv.model.load import load
from qconv.model.newer_ops import has_newer_ops
from qconv.model.session import open_session
from tests.lower.harness import Array, normal, write_model

QKV = "float[1,6,16] q, float[1,6,16] k, float[1,6,16] v"
FREE = "float[N,T,16] q, float[N,T,16] k, float[N,T,16] v"
SHARED = "float[N,T,16] q, float[N,T,8] k, float[N,T,8] v"
FOUR = "float[1,4,2,8] q, float[1,4,6,8] k, float[1,4,6,8] v"
HEADS = "q_num_heads=4, kv_num_heads=4"
LONG = "float[1,4,6,8] q, float[1,4,6,8] k, float[1,4,6,8] v"
BIAS = np.where(np.tril(np.ones((6, 6))) > 0, 0.5, -np.inf).astype(np.float32)
ALLOWED = np.tril(np.ones((6, 6), np.bool_))
NONE = ALLOWED & (np.arange(6) != 3)[:, None]
TABLES = {"c": np.cos(normal(6, 2)), "s": np.sin(normal(6, 2))}
EACH = {"c": np.cos(normal(1, 6, 2)), "s": np.sin(normal(1, 6, 2))}

# what it is: opset, inputs, node, constants
FORMS: dict[str, tuple[int, str, str, dict[str, Array]]] = {
    "attention": (23, QKV, f"Attention<{HEADS}>(q, k, v)", {}),
    "attention of any sizes": (23, FREE, f"Attention<{HEADS}>(q, k, v)", {}),
    "causal": (23, QKV, f"Attention<{HEADS}, is_causal=1>(q, k, v)", {}),
    "causal, of any sizes": (23, FREE, f"Attention<{HEADS}, is_causal=1>(q, k, v)", {}),
    "causal, of four axes": (24, FOUR, "Attention<is_causal=1>(q, k, v)", {}),
    "grouped queries": (23, SHARED, "Attention<q_num_heads=4, kv_num_heads=2, is_causal=1>(q, k, v)", {}),
    "a cap on scores": (23, QKV, f"Attention<{HEADS}, softcap=0.5, scale=0.7>(q, k, v, m)", {"m": BIAS}),
    "a constant mask of truth values": (23, QKV, f"Attention<{HEADS}>(q, k, v, m)", {"m": ALLOWED}),
    "a mask of reals": (23, f"{QKV}, float[1,4,6,6] m", f"Attention<{HEADS}>(q, k, v, m)", {}),
    "a mask that is given": (23, f"{QKV}, bool[1,1,6,6] m", f"Attention<{HEADS}>(q, k, v, m)", {}),
    "a query that attends to nothing": (23, QKV, f"Attention<{HEADS}>(q, k, v, m)", {"m": NONE}),
    "keys and values that came before": (
        23, f"{FREE}, float[N,4,P,4] pk, float[N,4,P,4] pv", f"Attention<{HEADS}, is_causal=1>(q, k, v, , pk, pv)", {},
    ),
    "lengths of the samples": (24, f"{FOUR}, int64[1] n", "Attention(q, k, v, , , , n)", {}),
    "lengths of the samples, causal": (24, f"{FOUR}, int64[1] n", "Attention<is_causal=1>(q, k, v, , , , n)", {}),
    "lengths shorter than the queries, causal": (24, f"{LONG}, int64[1] n", "Attention<is_causal=1>(q, k, v, , , , n)", {}),
    "a causal mask of truth values": (23, f"{QKV}, bool[1,1,6,6] m", f"Attention<{HEADS}, is_causal=1>(q, k, v, m)", {}),
    **{
        f"what is inside, {mode}": (
            24, f"{QKV}, bool[1,1,6,6] m", f"Attention<{HEADS}, softcap=0.5, qk_matmul_output_mode={mode}>(q, k, v, m)", {},
        ) for mode in range(4)
    },
    "rotary": (23, "float[1,6,16] q", "RotaryEmbedding<num_heads=4>(q, c, s)", EACH),
    "rotary of pairs": (23, "float[1,6,16] q, int64[1,6] p", "RotaryEmbedding<num_heads=4, interleaved=1>(q, c, s, p)", TABLES),
    "rotary of a part": (
        23, "float[N,4,6,8] q, int64[N,6] p", "RotaryEmbedding<rotary_embedding_dim=4>(q, c, s, p)", TABLES,
    ),
    "root mean square": (23, "float[N,6,16] q", "RMSNormalization<epsilon=1e-3>(q, g)", {"g": normal(16)}),
    "root mean square of two axes": (23, "float[2,6,16] q", "RMSNormalization<axis=1>(q, g)", {"g": normal(6, 16)}),
    "swish": (24, "float[N,6,16] q", "Swish<alpha=1.5>(q)", {}),
    "scatter": (24, "float[1,6,16] q, float[1,2,16] u, int64[1] p", "TensorScatter<axis=1>(q, u, p)", {}),
    "scatter in a circle": (24, "float[1,6,16] q, float[1,2,16] u", 'TensorScatter<axis=1, mode="circular">(q, u)', {}),
}  # fmt: skip
SIZES = {"N": 2, "T": 3, "P": 4}


def feeds(path: Path, seed: int) -> dict[str, Array]:
    rng, found = np.random.default_rng(seed), dict[str, Array]()
    for given in open_session(path).get_inputs():
        shape = [SIZES.get(size, size) for size in given.shape]
        if given.type == "tensor(float)":
            found[given.name] = rng.normal(size=shape).astype(np.float32)
        elif given.type == "tensor(bool)":
            found[given.name] = rng.random(shape) < 0.6  # some rows have none
        else:
            found[given.name] = rng.integers(2, 5, shape)
    return found


@pytest.mark.parametrize("name", FORMS)
def test_it_computes_the_same_at_opset_21(name: str, tmp_path: Path) -> None:
    opset, inputs, node, constants = FORMS[name]
    outputs = "y, k2, v2" if "pk" in node else "y, , , s" if "output_mode" in node else "y"
    ends = "float y, float s" if "output_mode" in node else "float y"
    path = write_model(tmp_path / "m.onnx", f"g ({inputs}) => ({ends}) {{ {outputs} = {node} }}", constants, opset)
    model = load(path).ir
    assert not has_newer_ops(model) and model.opset_imports[""] == 21
    given = feeds(path, 3)
    for right, found in zip(open_session(path).run(None, given), open_session(model).run(None, given), strict=True):
        # Sums in float32 in another order; what is forbidden has the lowest number.
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5 * np.abs(right[right > -1e30]).max())


def test_a_mask_that_ends_early_is_written_as_the_standard_does(tmp_path: Path) -> None:
    text = f"g ({QKV}, float[6,4] m) => (float y) {{ y = Attention<{HEADS}>(q, k, v, m) }}"
    model = load(write_model(tmp_path / "m.onnx", text, {}, 24)).ir
    given = {name: normal(1, 6, 16, seed=n) for n, name in enumerate("qkv")} | {"m": normal(6, 4)}
    whole = np.pad(given["m"], [(0, 0), (0, 2)], constant_values=-np.inf)
    same = write_model(tmp_path / "padded.onnx", text.replace("6,4", "6,6"), {}, 24)
    right, found = (open_session(m).run(None, given | {"m": mask})[0] for m, mask in ((same, whole), (model, given["m"])))
    assert np.abs(right - found).max() <= 1e-5 * np.abs(right).max()
