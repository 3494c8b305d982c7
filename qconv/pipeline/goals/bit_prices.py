"""What each layer costs and loses by the number of bits of its weight, as a table to choose from."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from qconv.analyze.knapsack import choose_under
from qconv.config import QuantConfig, Rule
from qconv.data.source import SampleSource
from qconv.errors import UsageError
from qconv.model import bit_planes
from qconv.model.graph import const_array
from qconv.model.packed import CAST_BYTES
from qconv.ops.forms import uses_of_weight
from qconv.pipeline.choices import spread
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.quantize import in_form
from qconv.pipeline.recovery import recovery_samples
from qconv.plan.quant_plan import QuantPlan
from qconv.quant.level_sets import Kind as Levels
from qconv.recover.recover import EFFORTS
from qconv.recover.widths import prices, weighted
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress
from qconv.targets import Rules, target_of

Kind = Literal["size", "bops"]
FULL = 8


@dataclass(frozen=True, order=True)
class Width:
    """How the values of a weight are written."""

    bits: int
    levels: Levels = "uniform"

    def rule(self, nodes: Sequence[str]) -> Rule:
        """The rule that asks for it in some nodes."""
        return Rule(tuple(map(glob.escape, nodes)), weight_bits=self.bits, levels=self.levels)

    def bytes_of(self, elements: int) -> float:
        """What a weight takes in a file, about."""
        if self.bits >= FULL:
            return float(elements)
        planes = bit_planes.BYTES_OF_NODE + (1 << self.bits)
        return elements * self.bits / 8.0 + (CAST_BYTES if self == Width(4) else planes)


WHOLE = Width(FULL)
_UNIFORM: Mapping[Kind, tuple[int, ...]] = {"size": (8, 6, 5, 4, 3), "bops": (8, 6, 4, 3, 2)}
_CODEBOOKS = (5, 4, 3, 2)


def widths_for(kind: Kind, config: QuantConfig) -> tuple[Width, ...]:
    """The choices that a layer has, 8 bits first; codebooks where a file keeps them in few bits."""
    books = _CODEBOOKS if kind == "size" and Rules.STANDARD not in target_of(config.target).rules else ()
    return (*map(Width, _UNIFORM[kind]), *(Width(bits, "codebook") for bits in books))


@dataclass(frozen=True)
class PriceTable:
    """For each weight, the nodes that read it, and what each of `widths` costs and loses; `fixed` is what no choice changes.

    Costs are bytes of the file, or bit operations, of `whole` for the 8-bit model.
    """

    widths: tuple[Width, ...]
    nodes: tuple[tuple[str, ...], ...]
    options: tuple[tuple[tuple[float, float], ...], ...]
    fixed: float
    whole: float

    def choice(self, share: float) -> dict[str, Width]:
        """By node, the choice of least loss; the one of least cost where even that costs more."""
        chosen = choose_under(self.options, share * self.whole - self.fixed)
        return self.fewest if chosen is None else self._by_node([self.widths[index] for index in chosen])

    @property
    def fewest(self) -> dict[str, Width]:
        """The choice of least cost."""
        return self._by_node([min(self.widths)] * len(self.nodes))

    def share(self, choice: Mapping[str, Width]) -> float:
        """Which part of the whole a choice costs."""
        cost = sum(option[i][0] for option, i in zip(self.options, self._places(choice), strict=True))
        return (self.fixed + cost) / max(self.whole, 1.0)

    def loss(self, choice: Mapping[str, Width]) -> float:
        """What a choice adds to the error at the outputs, as far as prices of layers add up."""
        return sum(option[i][1] for option, i in zip(self.options, self._places(choice), strict=True))

    def _places(self, choice: Mapping[str, Width]) -> list[int]:
        return [self.widths.index(choice[nodes[0]]) for nodes in self.nodes]

    def _by_node(self, widths: Sequence[Width]) -> dict[str, Width]:
        return {node: width for nodes, width in zip(self.nodes, widths, strict=True) for node in nodes}


def price_table(
    path: Path, calibration: Calibration, config: QuantConfig, plan: QuantPlan, kind: Kind, samples: SampleSource, *,
    file_bytes: int, threads: int = 0, progress: Progress | None = None,
) -> PriceTable:  # fmt: skip
    """Measures around the 8-bit network that `plan` is of. `file_bytes` are those of the 8-bit model.

    Raises UsageError where the products of a layer cannot be counted.
    """
    loaded = in_form(load_prepared(path, config.fixed), plan, config)
    widths = widths_for(kind, config)
    ways = [replace(config, rules=(*config.rules, replace(width.rule([]), match=("*",)))) for width in widths if width != WHOLE]
    feeds = recovery_samples(loaded, calibration, config, samples)
    effort = EFFORTS[config.effort] if feeds else None
    judged = feeds or [sample.feeds for sample in spread(samples)]
    lost = prices(loaded.ir, plan, config, ways, judged, effort, threads=threads, progress=progress)
    nodes = weighted(loaded.ir.graph, plan)
    costs = {name: _costs(node, kind, widths, config) for name, node in nodes.items()}
    most = sum(max(of_weight) for of_weight in costs.values())
    options = tuple(tuple(zip(costs[name], (0.0, *lost[name]), strict=True)) for name in nodes)
    readers = tuple(_readers(node) for node in nodes.values())
    whole = float(file_bytes) if kind == "size" else most
    return PriceTable(widths, readers, options, whole - most, whole)


def _readers(node: ir.Node) -> tuple[str, ...]:
    value = node.inputs[1]
    assert value is not None
    return tuple(dict.fromkeys(str(user.name) for user in value.consumers()))


def _costs(node: ir.Node, kind: Kind, widths: Sequence[Width], config: QuantConfig) -> list[float]:
    weight = const_array(node.inputs[1])
    elements = 0 if weight is None else int(weight.size)
    if kind == "size":
        return [width.bytes_of(elements) for width in widths]
    uses = uses_of_weight(node)
    if uses is None:
        raise UsageError(f"the products of node {node.name} are not known, as its shape is not; take --budget 0.6x-size")
    return [float(elements * uses * width.bits * config.activation_bits) for width in widths]
