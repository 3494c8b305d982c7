"""Learning from the float network (Gholami et al. 2021, section III-I)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def distillation_loss(
    logits: Tensor, teacher: Tensor, labels: Tensor | None = None, *, temperature: float = 2.0, weight: float = 0.9
) -> Tensor:
    """The divergence from the teacher's classes, softened by `temperature`, and, with labels, the rest from those.

    `logits` and `teacher` are [N, classes], `labels` [N] whole numbers.
    """
    ours = functional.log_softmax(logits / temperature, -1)
    theirs = functional.softmax(teacher.detach() / temperature, -1)
    soft: Tensor = functional.kl_div(ours, theirs, reduction="batchmean") * temperature**2
    return soft if labels is None else weight * soft + (1.0 - weight) * functional.cross_entropy(logits, labels)
