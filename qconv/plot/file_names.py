"""File names for tensors that every system accepts."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 80  # characters of a tensor's name; its end tells more than its beginning


def file_names(tensors: Sequence[str]) -> dict[str, str]:
    """Tensor -> 007_block1_conv_Relu_0.png. The number makes it unique also where case does not count.

    Letters, digits, dot, dash and underscore of ASCII stay; whatever lies between becomes one underscore.
    """
    digits = max(3, len(str(len(tensors))))
    return {name: f"{number:0{digits}}_{_safe(name)}.png" for number, name in enumerate(tensors, 1)}


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.-")[-LONGEST:].strip("_.-") or "tensor"
