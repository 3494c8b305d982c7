"""Sums and products of two activations; in evaluation as tables of codes that hold what the certified kernel gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from qconv.quant.operand_pairs import certified_product, certified_sum
from qconv.quant.tables import add_table, mul_table
from qconv.quant.types import QuantParams

from .ends import BetweenQuantizers
from .quantizers import ActivationQuantizer


class SimulatedBinary(BetweenQuantizers):
    """x + y or x y, between the quantizers of the operands and that of the result."""

    def __init__(self, a: ActivationQuantizer, b: ActivationQuantizer, *, product: bool, adds_in_integers: bool) -> None:
        super().__init__(a, b)
        self.product, self._adds_in_integers = product, adds_in_integers
        self._table: tuple[tuple[QuantParams, ...], Tensor] | None = None

    def forward(self, x: Tensor, y: Tensor, of_second: QuantParams | None = None) -> Tensor:
        """Exact in training, where rounding follows; what the kernel gives in evaluation.

        `of_second` are parameters of y other than those of its quantizer.
        """
        a, b, target = self._ends
        if self.training or a is None or b is None or target is None or not target.ready:
            return self.frozen()(x, y)
        first, second, result = (end.quant_params() for end in (a, b, target))
        second = of_second or second
        table = self._table_of(first, second, result)
        lows = [int(np.iinfo(params.zero_point.dtype).min) for params in (first, second)]
        rows, columns = (
            (torch.round(value / float(params.scale)) + int(params.zero_point) - low).long()
            for value, params, low in ((x, first, lows[0]), (y, second, lows[1]))
        )
        rows, columns = torch.broadcast_tensors(rows, columns)
        return (table.to(x.dtype)[rows, columns] - int(result.zero_point)) * float(result.scale)

    def frozen(self) -> nn.Module:
        """The plain operator, as it is written into the model."""
        return _Plain(torch.mul if self.product else torch.add)

    def _table_of(self, a: QuantParams, b: QuantParams, y: QuantParams) -> Tensor:
        """[256, 256], kept while the parameters stay."""
        if self._table is None or self._table[0] != (a, b, y):
            if self.product:
                found = certified_product(a, b, y)
                codes = mul_table(found.a, found.b, y)
            else:
                found = certified_sum(a, b, y, adds_in_integers=self._adds_in_integers)
                codes = add_table(found.a, found.b, y)
            self._table = (a, b, y), torch.from_numpy(np.asarray(codes).reshape(256, 256))
        return self._table[1]


class _Plain(nn.Module):
    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The function of both."""
        return self._function(x, y)
