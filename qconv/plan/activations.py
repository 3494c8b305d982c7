"""The parameters of activations: each group of tied tensors takes the union of its members' ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir

from qconv.config import QuantConfig
from qconv.errors import ArtifactError
from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.flat_ends import useful_range
from qconv.ops.forms import clamp_bounds, scalar_factor, signs_of_sum
from qconv.ops.op_table import has_weight, rule_of
from qconv.ops.scale_rules import Fixed, Within, inverse_scale
from qconv.plan.eligible import float_nodes
from qconv.plan.policy import activation_scheme
from qconv.plan.shared_scales import Group, SharedScales
from qconv.plan.weights import rounded_weight
from qconv.plan.wide import Use, wide_tensors
from qconv.quant.grids import power_of_two
from qconv.quant.params import params_of_range, params_of_values
from qconv.quant.types import FloatArray, IntType, QuantParams, Scheme
from qconv.targets import target_of

Range = tuple[float, float]
RangeOf = Callable[[str], tuple[float, float] | None]
_LARGEST = float(np.finfo(np.float32).max)
_DWARFED = 4.0  # an operand this many times wider than its sum, as a mask is, gets no scale in common with it
_DWARFS = 2.0  # an operand this many times wider than what its sum can show is bounded: a bit and more
_ALIKE = 1.25  # scales that differ less than this may as well be one: a third of a bit
_OFF_TIES = 1 + 2.0**-12  # pixels over [-1, 1] all lie half-way between two codes, where runtimes part; float32 has 2^-16 there
_MOST_STEPS = 1 << 13  # of one, for a range within [0, 1]: with finer ones, few multipliers of what reads them can be proved


class Activations:
    """Parameters per group, each decided once."""

    def __init__(self, ties: SharedScales, observed: Mapping[ir.Value, tuple[float, float]], config: QuantConfig) -> None:
        self._ties, self._observed, self._config = ties, observed, config
        self._done: dict[Group, QuantParams] = {}
        self._narrowed: dict[Group, Range] = {}
        self._integer = dict.fromkeys(ties.integer_nodes())
        ties.join_alike(self._span, _ALIKE)
        if not (config.grid.free or config.grid.powers):
            ties.join_sums(self._span, _DWARFED)
        for group in ties.groups():
            self._narrow(group)
        for node in self._integer:
            if has_trait(node, Trait.MULTIPLIES) and scalar_factor(node) is None:
                self._narrow_factor(node)

    def by_name(self) -> dict[str, QuantParams]:
        """The parameters of all members of all groups."""
        return {str(member.name): self.params(group) for group in self._ties.groups() for member in group.members}

    def params(self, group: Group) -> QuantParams:
        """The parameters of a group, decided once."""
        if group not in self._done:
            self._done[group] = self._decide(group)
        return self._done[group]

    def _decide(self, group: Group) -> QuantParams:
        if group.fixed is not None:
            return group.fixed
        if group.values is not None:
            return self._allowed(params_of_values(np.clip(group.values, *self._span(group)), self._scheme(group).int_type))
        if group.scaled_from is not None and group not in self._narrowed:
            source, factor = group.scaled_from
            origin = self._ties.group(source)
            assert origin is not None
            base = self.params(origin)
            return self._allowed(replace(base, scale=base.scale * np.float32(factor)))
        if group.within is not None:
            return params_within(group.within, *self._span(group), self._scheme(group))
        lo, hi = self._span(group)
        arithmetic = target_of(self._config.target).arithmetic
        if arithmetic.rounds_ties_otherwise and any(value.is_graph_input() for value in group.members):
            lo, hi = lo * _OFF_TIES, hi * _OFF_TIES
        return params_of_range(lo, hi, self._scheme(group))

    def _allowed(self, params: QuantParams) -> QuantParams:
        return replace(params, scale=power_of_two(params.scale)) if self._config.pow2 else params

    def _scheme(self, group: Group) -> Scheme:
        return self._config.activation_of(self._ties.bits(group))

    def _narrow(self, group: Group) -> None:
        """Bounds what only sums read, as masks are, by what can still change one of them within its calibrated range."""
        if group.fixed is not None or group.within is not None:
            return
        found = [self._counts(group, node) for node in self._ties.readers(group)]
        bounds = [bound for bound in found if bound is not None]
        if not bounds or len(bounds) < len(found):
            return
        lo, hi = self._reach(group)
        narrow = max(lo, min(low for low, _ in bounds)), min(hi, max(high for _, high in bounds))
        if (narrow[1] - narrow[0]) * _DWARFS < hi - lo:
            self._narrowed[group] = narrow

    def _counts(self, group: Group, node: ir.Node) -> Range | None:
        """Which values of an operand can change a sum within its range, with zero among them; None where nothing is said."""
        output = self._ties.group(node.outputs[0])
        groups = [None if value is None else self._ties.group(value) for value in node.inputs]
        if not has_trait(node, Trait.SUMS) or node not in self._integer or output is None or output is group or len(groups) != 2:
            return None
        signs = signs_of_sum(node)
        place = groups.index(group)
        other = groups[1 - place]
        if other is None or other is group:
            return None
        low, high = sorted(signs[1 - place] * end for end in self._reach(other))
        least, most = self._span(output)
        lower, upper = sorted(signs[place] * end for end in (least - high, most - low))
        return min(lower, 0.0), max(upper, 0.0)

    def _narrow_factor(self, node: ir.Node) -> None:
        """Bounds a constant factor by what takes every code of the other one but zero beyond the product's range."""
        groups = [None if value is None else self._ties.group(value) for value in node.inputs]
        output = self._ties.group(node.outputs[0])
        for own, other in (groups, groups[::-1]):
            if own is None or other is None or output is None or other is own or own.settled or other is output:
                continue
            if any(const_array(member) is None for member in own.members) or self._ties.readers(own) != [node]:
                continue
            y, (low, high) = self.params(output), self._span(own)
            enough = (max(map(abs, y.ends)) + float(y.scale)) / float(self.params(other).scale)
            if max(high, -low) > enough * _DWARFS:
                self._narrowed[own] = max(low, -enough), min(high, enough)

    def _reach(self, group: Group) -> Range:
        """The range of a group, also where that is given or follows from another."""
        if group.fixed is not None:
            return group.fixed.ends
        if group.scaled_from is None or group in self._narrowed:
            return self._span(group)
        source, factor = group.scaled_from
        origin = self._ties.group(source)
        assert origin is not None
        low, high = self._reach(origin)
        return low * factor, high * factor

    def _span(self, group: Group) -> tuple[float, float]:
        """The union of the ranges of a group's members, with zero in it; what the codes reach where they are given."""
        if group.fixed is not None:
            return group.fixed.ends
        if group in self._narrowed:
            return self._narrowed[group]
        if group.values is not None:
            return _finite(float(group.values.min(initial=0.0)), float(group.values.max(initial=0.0)))
        ranges = [self._observed[v] for v in group.members if v in self._observed]
        constants = [array for v in group.members if (array := const_array(v)) is not None and array.size]
        ranges += [(float(array.min()), float(array.max())) for array in constants]
        return _finite(min((r[0] for r in ranges), default=0.0), max((r[1] for r in ranges), default=0.0))


class ActivationPlan:
    """Plans only the activations, for many sets of ranges."""

    def __init__(
        self,
        graph: ir.Graph,
        config: QuantConfig,
        in_float: Mapping[str, str] | None = None,
        apart: Mapping[str, str] | None = None,
        wide_uses: frozenset[Use] = frozenset(),
        exact: Collection[str] = (),
    ) -> None:
        """`in_float` and `apart` are the nodes that a plan leaves as they are; without a plan, those that have to stay in float.

        `wide_uses` read wide integers besides sums and norms; the codes of `exact` tensors are as good as reals.
        Raises UsageError when an exclusion matches nothing.
        """
        self._graph, self._config, self._apart = graph, config, apart
        self._in_float = float_nodes(graph, config.excluded, config.prefer) if in_float is None else in_float
        ties = self._ties()
        observed = ties.observed()
        fixed = (node.outputs[0] for node in ties.integer_nodes() if isinstance(rule_of(node), Fixed | Within))
        pinned = (group.members[0] for group in ties.groups() if group.fixed is not None or group.values is not None)
        rounded = dict.fromkeys((*observed, *fixed, *pinned))
        self.rounded = [str(value.name) for value in rounded if value.name not in exact]
        self.types = {str(value.name): _type_of_group(ties, value, config) for value in rounded}
        self.wide_uses = wide_tensors(list(ties.integer_nodes()), graph.inputs if config.io == "float" else ()).uses | wide_uses
        self.integer = frozenset(str(node.name) for node in ties.integer_nodes())

    def params(self, range_of: RangeOf) -> dict[str, QuantParams]:
        """Parameters by tensor. `rounded` names where values become codes, `types` of which type; `integer` nodes read codes."""
        ties = self._ties()
        observed = {value: range_of_tensor(value, range_of) for value in ties.observed()}
        return Activations(ties, observed, self._config).by_name()

    def weights(self) -> dict[str, FloatArray]:
        """The weights of integer nodes by tensor, rounded, as reals; without regard to accumulators."""
        nodes = [node for node in self._ties().integer_nodes() if has_weight(node)]
        pairs = [(node, node.inputs[1], const_array(node.inputs[1])) for node in nodes]
        return {
            str(value.name): rounded_weight(node, array, self._config)
            for node, value, array in pairs
            if value is not None and array is not None
        }

    def _ties(self) -> SharedScales:
        config = self._config
        type_of = partial(int_type_of, config=config)
        return SharedScales(self._graph, self._in_float, type_of, self._apart, config.pins.activations, config.grid)


def _finite(low: float, high: float) -> Range:
    """Constants may be infinite, in masks that are narrowed and as bounds."""
    return float(np.clip(low, -_LARGEST, _LARGEST)), float(np.clip(high, -_LARGEST, _LARGEST))


def _type_of_group(ties: SharedScales, value: ir.Value, config: QuantConfig) -> IntType:
    group = ties.group(value)
    assert group is not None
    return config.activation_of(ties.bits(group)).int_type if group.fixed is None else group.fixed.int_type


def int_type_of(value: ir.Value, config: QuantConfig) -> IntType:
    """The integer type that is asked for of an activation."""
    return activation_scheme(value, config).int_type


def params_within(limits: QuantParams, lo: float, hi: float, scheme: Scheme) -> QuantParams:
    """Parameters of a range inside the one of `limits`, which stand where the range is nearly as wide.

    From zero up, the scale is one over a whole number: onnxruntime's QLinearSoftmax multiplies by floor(1 / S).
    """
    low, high = limits.ends
    narrow = params_of_range(max(lo, low), min(hi, high), scheme)
    if float(narrow.scale) * _ALIKE > float(limits.scale):
        return limits
    if int(limits.zero_point) != limits.int_type.qmin or scheme.scale_bits == 1:
        return narrow
    steps = min(math.floor((1.0 + 2.0**-20) / float(narrow.scale)), _MOST_STEPS)
    steps -= steps % 2 if steps > 2 else 0  # of an odd number, a half, which Sigmoid gives for 0, lies between two codes
    return QuantParams(inverse_scale(steps), narrow.zero_point, narrow.int_type)


def range_of_tensor(value: ir.Value, range_of: RangeOf, fine: Collection[str] = ()) -> tuple[float, float]:
    """Within what a clamp leaves and what readers tell apart; what makes the tensors of `fine` tells more apart.

    Raises ArtifactError where the calibration has none.
    """
    node = value.producer()
    bounds = None if node is None else clamp_bounds(node)
    found = range_of(str(value.name))
    if found is None and bounds is not None and node is not None and node.inputs[0] is not None:
        found = range_of(str(node.inputs[0].name))  # a clamp that had the codes of its input when that was calibrated
    if found is None:
        raise ArtifactError(
            f"the calibration has no range for tensor {value.name}; calibrate again with the same --exclude as here"
        )
    lo, hi = found
    if bounds is not None:
        lo, hi = (min(max(end, bounds[0]), bounds[1]) for end in (lo, hi))
    return useful_range(value, (lo, hi), fine)
