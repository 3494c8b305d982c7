"""The cheapest choice under a budget: one option for each item, the sum of costs bounded, the sum of losses least.

The multiple-choice knapsack problem. Choices for the first items that cost no less and lose no less than another are left out,
which keeps few; where they are still many, some of those that are almost alike in cost are left out too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST = 20_000  # choices that are gone on with

Option = tuple[float, float]  # cost, loss


def choose_under(items: Sequence[Sequence[Option]], budget: float) -> list[int] | None:
    """The index of the option of each item; None where even the cheapest ones cost more than `budget`."""
    rest = [sum(min(cost for cost, _ in options) for options in items[start:]) for start in range(len(items) + 1)]
    if rest[0] > budget:
        return None
    costs, losses = np.zeros(1), np.zeros(1)
    steps: list[tuple[np.ndarray, np.ndarray]] = []
    for number, options in enumerate(items):
        of_option, lost = (np.array(column) for column in zip(*options, strict=True))
        all_costs, all_losses = (costs[:, None] + of_option).ravel(), (losses[:, None] + lost).ravel()
        order = np.lexsort((all_losses, all_costs))
        order = order[all_costs[order] + rest[number + 1] <= budget]
        best = np.minimum.accumulate(all_losses[order])
        order = order[np.concatenate([[True], all_losses[order][1:] < best[:-1]])]
        if len(order) > _MOST:
            order = order[np.linspace(0, len(order) - 1, _MOST).astype(np.int64)]
        steps.append(np.divmod(order, len(options)))
        costs, losses = all_costs[order], all_losses[order]
    place, found = int(losses.argmin()), []
    for before, option in reversed(steps):
        found.append(int(option[place]))
        place = int(before[place])
    return found[::-1]
