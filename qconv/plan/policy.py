"""What is asked for in one place of a graph: the config, and those of its rules that fit there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from qconv.config import QuantConfig, Rule
from qconv.errors import UsageError
from qconv.model.graph import is_float
from qconv.ops.forms import channel_axis
from qconv.plan.patterns import fits, names_of
from qconv.quant.level_sets import Kind
from qconv.quant.types import Scheme


def weight_scheme(node: ir.Node, config: QuantConfig) -> Scheme:
    """The scheme of the weight of a layer."""
    bits, per_tensor = config.weight_bits, config.per_tensor
    for rule in _fitting(names_of(node), config):
        bits = bits if rule.weight_bits is None else rule.weight_bits
        per_tensor = per_tensor if rule.per_tensor is None else rule.per_tensor
    return config.weight_of(bits, channel_axis(node), per_tensor=per_tensor)


def levels_of(node: ir.Node, config: QuantConfig) -> Kind:
    """How the values of the weight of a layer are spaced."""
    found = [rule.levels for rule in _fitting(names_of(node), config) if rule.levels is not None]
    return found[-1] if found else config.levels


def activation_scheme(value: ir.Value, config: QuantConfig) -> Scheme:
    """The scheme of an activation."""
    found = [rule.activation_bits for rule in _fitting(_names_of_tensor(value), config) if rule.activation_bits is not None]
    return config.activation_of(found[-1]) if found else config.activation


def method_for(value: ir.Value, config: QuantConfig) -> str | None:
    """The method that chooses the range of an activation, where a rule asks for one."""
    found = [rule.method for rule in _fitting(_names_of_tensor(value), config) if rule.method is not None]
    return found[-1] if found else None


def check_rules(graph: ir.Graph, config: QuantConfig) -> None:
    """Raises UsageError for a pattern of a rule that fits nothing. Those of nodes in float are checked where they are used."""
    names = {name for node in graph for name in names_of(node)} | {str(v.name) for v in graph.inputs}
    names |= {str(value.name) for node in graph for value in node.outputs if is_float(value)}
    for rule in config.rules:
        for pattern in () if rule.keep_float else rule.match:
            if not any(fits(name, pattern) for name in names):
                raise UsageError(
                    f"the rule for {pattern!r} matches no node, no op type and no tensor; see `qconv inspect` for the names"
                )


def _fitting(names: Iterable[str], config: QuantConfig) -> Iterator[Rule]:
    known = tuple(names)
    return (rule for rule in config.rules if any(fits(name, pattern) for pattern in rule.match for name in known))


def _names_of_tensor(value: ir.Value) -> tuple[str, ...]:
    maker = value.producer()
    return (str(value.name), *(() if maker is None else names_of(maker)))
