"""Channel scales for a plan: those that lose least at the outputs, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from qconv.config import Io, QuantConfig
from qconv.ops.flat_ends import useful_range
from qconv.plan.quant_plan import ChannelScales, QuantPlan
from qconv.quant.types import is_fine
from qconv.ranges.search.judges import judges_of
from qconv.ranges.search.output_error import outputs_of, pooled_noise
from qconv.recover.channels.choose import choose_factors, scaled_range
from qconv.recover.channels.classes import ChannelClasses
from qconv.recover.channels.extremes import Extremes, channel_extremes
from qconv.recover.channels.rescale import NewTensor, rescale
from qconv.recover.twin import Twin

Progress = Callable[[int, int | None], None]

Feeds = Mapping[str, NDArray[Any]]
Range = tuple[float, float]
RangeOf = Callable[[str], Range | None]
Scales = Mapping[str, ChannelScales]
Planner = Callable[[ir.Graph, RangeOf, Scales], QuantPlan]
_JUDGES = 16  # samples that decide
_ALIKE = 0.5  # the least factor of a border that is not worth a scale for each channel


@dataclass(frozen=True)
class Form:
    """A way to write the function of a network: a prepared model, a plan for it, and the noise at the outputs.

    The noise is simulated, with nearest weights (ranges/search/output_error.py). `gated` tells that gates need a convolution.
    """

    model: ir.Model
    plan: QuantPlan
    noise: float
    gated: bool = False


def forms(
    model: ir.Model, plan: QuantPlan, make: Planner, range_of: RangeOf, config: QuantConfig, samples: Sequence[Feeds],
    threads: int = 0, progress: Progress | None = None,
) -> list[Form]:  # fmt: skip
    """The prepared model as it is, and copies of it with channel scales that may be better, each planned anew with `make`."""
    judges = samples[:: max(1, len(samples) // _JUDGES)][:_JUDGES]
    axes = {str(value.name): channels.axis for value, channels in _classes(model, plan, config.io).channels.items()}
    compared = [name for name in judges_of(model.graph) if name not in axes]  # the others change with the factors
    exact = outputs_of(model, judges, threads, compared)

    def form(written: ir.Model, planned: QuantPlan, *, gated: bool = False) -> Form:
        outputs = outputs_of(Twin(written, planned, config).model, judges, threads, compared)
        return Form(written, planned, pooled_noise(outputs, exact), gated)

    extremes = channel_extremes(model, axes, samples, threads) if axes else {}
    useful = _useful(model, range_of, extremes)
    extremes = {name: seen.within(*useful[name]) if name in useful else seen for name, seen in extremes.items()}
    found = [form(model, plan)]
    for number, scales in enumerate(_candidates(model, plan, config, extremes)):
        if progress is not None:
            progress(number, None)
        copy = model.clone()
        new = rescale(copy.graph, _classes(copy, plan, config.io), scales)
        planned = make(copy.graph, _Ranges(range_of, extremes, scales, new, useful), scales)
        found.append(form(copy, planned, gated=any(tensor.cut is not None for tensor in new.values())))
    return found


def apply_scales(model: ir.Model, plan: QuantPlan, io: Io) -> None:
    """Rescales a prepared model in place, as a plan says. Raises ArtifactError where its channel scales do not fit."""
    rescale(model.graph, _classes(model, plan, io), plan.channel_scales)


def _classes(model: ir.Model, plan: QuantPlan, io: Io) -> ChannelClasses:
    classes = ChannelClasses(model.graph, plan.kept, borders=io == "float")
    fine = {name for name, params in plan.tensors.items() if is_fine(params)}
    classes.pin([value for value in classes.values if value.name in fine])
    return classes


@dataclass(frozen=True)
class _Ranges:
    """The ranges of the rescaled graph; `new` are the tensors that rescaling made.

    `useful` is the part of a range that the readers of a tensor tell apart; in the rescaled graph it has others.
    """

    range_of: RangeOf
    extremes: Mapping[str, Extremes]
    scales: Scales
    new: Mapping[str, NewTensor]
    useful: Mapping[str, Range]

    def __call__(self, name: str) -> Range | None:
        """The range, as `range_of` gives it, for a tensor of the rescaled graph."""
        new = self.new.get(name)
        source = name if new is None else new.source
        whole = self.useful.get(source) or self.range_of(source)
        if whole is None:
            return None
        if new is not None and new.cut is not None:
            return max(whole[0], new.cut[0]), min(whole[1], new.cut[1])
        scales = self.scales.get(source)
        return whole if scales is None else scaled_range(self.extremes[source], scales, whole)


def _useful(model: ir.Model, range_of: RangeOf, extremes: Mapping[str, Extremes]) -> dict[str, Range]:
    """The ranges of tensors whose readers are flat at an end; from there on, no channel needs codes."""
    found = {str(v.name): (v, range_of(str(v.name))) for node in model.graph for v in node.outputs if v.name in extremes}
    cut = {name: (whole, useful_range(value, whole)) for name, (value, whole) in found.items() if whole is not None}
    return {name: useful for name, (whole, useful) in cut.items() if useful != whole}


def _candidates(model: ir.Model, plan: QuantPlan, config: QuantConfig, extremes: Mapping[str, Extremes]) -> Iterator[Scales]:
    """Factors that cost nothing at run time, and those that gates need a convolution for."""
    whole, free = (_classes(model, plan, config.io) for _ in range(2))
    free.pin([value for node in whole.gates if (value := node.inputs[0]) is not None])
    for classes in (free, whole):
        if classes is whole and not whole.gates:
            continue
        scales = _without_small_gains(classes, plan, extremes, powers=config.pow2)
        if scales:
            yield scales


def _without_small_gains(classes: ChannelClasses, plan: QuantPlan, extremes: Mapping[str, Extremes], *, powers: bool) -> Scales:
    """The factors, without those of inputs and outputs whose channels are much alike."""
    scales = choose_factors(classes, plan, extremes, powers=powers)
    small = [value for value in classes.borders if (k := scales.get(str(value.name))) and k.factors.min() > _ALIKE]
    if not small:
        return scales
    classes.pin(small)
    return choose_factors(classes, plan, extremes, powers=powers)
