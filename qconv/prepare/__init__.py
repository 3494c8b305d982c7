"""Float graph in, simpler float graph out, the function kept: the canonical form that planning and lowering read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import onnx_ir as ir

from .affine_to_depthwise import affine_to_depthwise
from .bound_masks import bound_masks
from .compose_arithmetic import compose_arithmetic
from .compose_moves import compose_moves
from .compose_reductions import compose_reductions
from .einsum_to_matmul import einsum_to_matmul
from .expand_constants import expand_constants
from .finite_masks import finite_masks
from .fold_affine_back import fold_affine_back
from .fold_affine_forward import fold_affine_forward
from .fold_pad import fold_pad
from .fuse_gelu import fuse_gelu
from .fuse_hardswish import fuse_hardswish
from .fuse_logistic import fuse_logistic
from .fuse_norms import fuse_norms, join_affine_to_norms
from .fuse_softmax import fuse_softmax
from .inline_branches import inline_branches
from .matmul_to_gemm import matmul_to_gemm
from .matmul_with_bias import matmul_with_bias
from .merge_slices import merge_slices
from .normalize_affine import normalize_affine
from .normalize_clamps import normalize_clamps
from .normalize_conv_transpose import normalize_conv_transpose
from .normalize_gemm import normalize_gemm
from .normalize_pool import normalize_pool
from .norms_to_rows import norms_to_rows
from .prelu_to_leaky_relu import prelu_to_leaky_relu
from .remove_noops import remove_noops
from .resize_to_matmul import resize_to_matmul
from .resolve_auto_pad import resolve_auto_pad
from .samples_to_matmul import samples_to_matmul
from .separate_weights import separate_weights
from .simplify import simplify
from .split_layers import split_layers
from .static_reshape import static_reshape
from .sum_to_add import sum_to_add
from .take_apart import take_apart
from .unfuse import unfuse
from .whole_resize import whole_resize
from .write_out_loops import write_out_loops

Pass = Callable[[ir.Model], int]

# One op for each thing first, so that the folds see few forms; then the folds, until none finds anything.
CLEANING: Final[tuple[Pass, ...]] = (
    write_out_loops,
    inline_branches,
    unfuse,
    simplify,
    static_reshape,
    remove_noops,
    sum_to_add,
    expand_constants,
    whole_resize,
    resize_to_matmul,
    prelu_to_leaky_relu,
    fuse_logistic,
    norms_to_rows,
    resolve_auto_pad,
    compose_reductions,
    compose_arithmetic,
    compose_moves,
    samples_to_matmul,
    einsum_to_matmul,
    normalize_conv_transpose,
    normalize_clamps,
    fuse_hardswish,
    fuse_gelu,
    fuse_norms,
    fuse_softmax,
    bound_masks,
    finite_masks,
)
FOLDING: Final[tuple[Pass, ...]] = (
    remove_noops,
    merge_slices,
    resolve_auto_pad,
    fold_pad,
    join_affine_to_norms,
    normalize_pool,
    normalize_gemm,
    matmul_to_gemm,
    fold_affine_back,
    fold_affine_forward,
    normalize_clamps,
)
# What no layer took is written in one way; a convolution that this makes may in turn take what stands next to it.
WRITING: Final[tuple[Pass, ...]] = (affine_to_depthwise, normalize_affine)
# Tensors of unlike parts have scales of their own then; those of a quantized model have one that was decided elsewhere.
PARTING: Final[tuple[Pass, ...]] = (split_layers, take_apart)
# Folds look for a bias behind its product, so the rest of these are joined late. Weights are separated last, as simplifying joins
# equal constants.
FINISHING: Final[tuple[Pass, ...]] = (matmul_with_bias, simplify, separate_weights)


def prepare(model: ir.Model, *, keep_tensors: bool = False) -> dict[str, int]:
    """Bring a loaded model into canonical form, in place; returns the number of changes by pass.

    `keep_tensors` says that the scales of tensors are decided already, so that none is to be parted.
    """
    changes: dict[str, int] = {}

    def run(steps: Sequence[Pass]) -> int:
        counts = [(step.__name__, step(model)) for step in steps]
        for name, count in counts:
            changes[name] = changes.get(name, 0) + count
        return sum(count for _, count in counts)

    run(CLEANING)
    while run(FOLDING) or run(WRITING):
        pass
    run(() if keep_tensors else PARTING)
    run(FINISHING)
    return changes


__all__ = ["prepare"]
