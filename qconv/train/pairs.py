"""Weight codes of which no two neighbours saturate on x86 with AVX2 and without VNNI (qconv/quant/saturation.py), in torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from qconv.quant.saturation import PAIR_LIMIT, KernelOrder


def safe_codes(codes: Tensor, steps: Tensor, order: KernelOrder, limit: int) -> Tensor:
    """The codes nearest to `steps`, of the weight's shape; what an unsafe pair has too much is taken from both alike."""
    rows, exact = _rows(codes, order), _rows(steps, order)
    even = rows.shape[-1] // 2 * 2
    first, second = rows[..., :even:2], rows[..., 1:even:2]
    one, other = exact[..., :even:2].abs(), exact[..., 1:even:2].abs()
    unsafe = ((first > 0) == (second > 0)) & ((first + second).abs() > PAIR_LIMIT)
    share = torch.round(one - (one + other - PAIR_LIMIT) / 2).clamp(PAIR_LIMIT - limit, limit)
    sign = torch.sign(first)
    pair = torch.stack([torch.where(unsafe, sign * share, first), torch.where(unsafe, sign * (PAIR_LIMIT - share), second)], -1)
    safe = torch.cat([pair.flatten(-2), rows[..., even:]], -1)
    return _from_rows(safe, codes.shape, order)


def _rows(weight: Tensor, order: KernelOrder) -> Tensor:
    """The weight as [rows, K] in the order of the kernel."""
    moved = weight.permute(order.axes)
    padded = functional.pad(moved, (0, order.width - moved.shape[-1]))
    return padded.reshape(padded.shape[0], -1)


def _from_rows(rows: Tensor, shape: torch.Size, order: KernelOrder) -> Tensor:
    sizes = [shape[axis] for axis in order.axes]
    moved = rows.reshape(*sizes[:-1], order.width)[..., : sizes[-1]]
    back = [order.axes.index(axis) for axis in range(len(sizes))]
    return moved.permute(back)
