"""Digits as sentences: a word for each inked cell of an 8x8 grid, in reading order."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LENGTH = 48
_CELLS = 64
_LEVELS = 3  # how much ink a cell has
PADDING, FIRST = 0, 1  # the word behind the end of a sentence, and the one before its beginning
VOCABULARY = 2 + _CELLS * _LEVELS


@dataclass(frozen=True)
class Sentences:
    """Words int64 [N, 48], and attention_mask int64 [N, 48], which is 0 where they are padding."""

    input_ids: Tensor
    attention_mask: Tensor


def sentences(images: Tensor) -> Sentences:
    """Images float32 [N, 1, 16, 16] in [0, 1] as sentences; what comes after 47 words is left out."""
    levels = torch.round(functional.avg_pool2d(images, 2).flatten(1) * _LEVELS).to(torch.int64)
    words = 2 + torch.arange(_CELLS) * _LEVELS + levels - 1
    inked = levels > 0
    # A stable sort brings the inked cells to the front and keeps their order.
    order = torch.sort(inked.to(torch.int64), dim=1, descending=True, stable=True).indices[:, : LENGTH - 1]
    words = torch.where(inked, words, PADDING).gather(1, order)
    ids = torch.cat([torch.full((len(words), 1), FIRST), words], 1)
    return Sentences(ids, (ids != PADDING).to(torch.int64))
