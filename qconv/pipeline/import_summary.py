"""What became of the parameters that a quantized model brought along, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from qconv.import_ import Imported
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.pins import with_sign
from qconv.quant.types import QuantParams

_NAMED = 3


def import_summary(imported: Imported, plan: QuantPlan, calibrated: Collection[str]) -> Iterator[str]:
    """How many scales are used, what had none, and what is not used; `calibrated` are the tensors whose ranges data gave."""
    pins = imported.pins
    used = [name for name, params in pins.activations.items() if _same(plan.tensors.get(name), params)]
    unused = [name for name in pins.activations if name not in used]
    weights = [pinned for pinned in pins.weights if any(_same(plan.tensors.get(name), pinned.params) for name in plan.tensors)]
    lost = [pinned.name for pinned in pins.weights if pinned not in weights]
    total = len(pins.activations) + len(pins.weights)
    line = f"used {len(used) + len(weights)} of {total} scales of the quantized model"
    if calibrated:
        line += f"; missing: {_some(list(calibrated))} (calibrated)"
    if unused or lost:
        line += (
            f"; unused: {_some([*unused, *lost])}, which another op took in, or which no kernel of the target takes as they are"
        )
    yield line
    yield from imported.notes


def _same(found: QuantParams | None, given: QuantParams) -> bool:
    return found is not None and found == with_sign(given, found.int_type.signed)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
