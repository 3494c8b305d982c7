"""`prepare`: a module of torch becomes one that computes what its integer network will compute."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from qconv.config import QuantConfig, Rule
from qconv.errors import ModelError
from qconv.ops.kernel_order import conv_order, matrix_order
from qconv.plan.patterns import fits
from qconv.quant.types import IntType
from qconv.targets import target_of

from .binary import SimulatedBinary
from .few_valued_layers import FEW_VALUED, SimulatedFewValuedLayer
from .gates import SimulatedGate, gate_of
from .layers import SimulatedLayer
from .mean import SimulatedMean
from .network import SimulatedNetwork, Tracer
from .phases import with_phases
from .places import Place, is_hard, is_product, limits_of, maker_of, only_reader, place_of
from .quantizers import ActivationQuantizer, Clock, WeightQuantizer
from .settings import Training

_ONE_BIT = IntType(2, signed=False, narrow=True)  # codes 1 and 3 are -1 and +1


def prepare(
    module: nn.Module,
    example: Tensor | Sequence[Tensor],
    config: QuantConfig = QuantConfig(),
    training: Training = Training(),
) -> SimulatedNetwork:
    """A copy of `module` with simulated quantization wherever the integer network of `config` requantizes.

    `example` is one batch of its inputs. Rules of the config name modules ("features.0", "head.*") or their types ("Conv2d").
    Raises ModelError for a module that torch.fx cannot trace, and for rules that fit nothing.
    """
    inputs = (example,) if isinstance(example, Tensor) else tuple(example)
    try:
        copied = with_phases(copy.deepcopy(module))
        network = copied if isinstance(copied, fx.GraphModule) else fx.GraphModule(copied, Tracer().trace(copied))
    except Exception as error:  # noqa: BLE001  whatever the module's own code raises when it meets a proxy
        raise ModelError(
            f"torch.fx cannot trace {type(module).__name__} ({error}); a network that branches on values has to be rewritten"
        ) from None
    was_training = network.training
    with torch.no_grad():
        ShapeProp(network.eval()).propagate(*inputs)
    network.train(was_training)
    clock = Clock(training)
    work = _Preparation(network, config, clock)
    work.run()
    result = SimulatedNetwork(network, clock, inputs, config.target, tuple(work.remarks))
    result.train(was_training)
    return result


class _Preparation:
    """One walk through a graph; `quantizers` are those of the tensors so far."""

    def __init__(self, network: fx.GraphModule, config: QuantConfig, clock: Clock) -> None:
        self.network, self.config, self.clock = network, config, clock
        self.modules = dict(network.named_modules())
        self.quantizers: dict[fx.Node, ActivationQuantizer | None] = {}
        self.remarks: list[str] = []
        self._used: set[str] = set()
        self._waiting: dict[fx.Node, SimulatedLayer | SimulatedBinary | SimulatedGate | SimulatedMean] = {}

    def run(self) -> None:
        """Rewrites the network in place."""
        for node in tuple(self.network.graph.nodes):
            if node.op == "placeholder" and _is_real(node):
                self._quantize(node, str(node.target))
            elif node.op in ("call_module", "call_function", "call_method") and node in self.network.graph.nodes:
                self._compute(node)
        self.network.graph.lint()
        self.network.recompile()
        for rule in (*self.config.rules, Rule(self.config.exclude)):
            for pattern in rule.match:
                if pattern not in self._used:
                    raise ModelError(f"the rule for {pattern!r} fits no module and no type of module")

    def _compute(self, node: fx.Node) -> None:
        place = place_of(node, self.modules)
        source = node.all_input_nodes[0] if node.all_input_nodes else None
        if place is Place.PASS or not _is_real(node):
            self.quantizers[node] = self.quantizers.get(source) if source is not None else None
            return
        name = str(node.target) if node.op == "call_module" else node.name
        if self._in_float(node, name):
            self.remarks.append(f"{name} stays in float, as is asked for")
            self.quantizers[node] = None
            return
        if place is Place.LAYER:
            self._layer(node, name, self.quantizers.get(source) if source is not None else None)
        elif place is Place.SIGN:
            raise ModelError(f"{name} follows no few-valued layer; put the Sign behind one, or behind the batch norm of one")
        elif place is Place.GATE:
            self._gate(node, name)
        elif place is Place.PAIR:
            self._pair(node, name)
        elif place is Place.MEAN:
            self._mean(node, name)
        elif place is Place.JOIN:
            self._join(node, name)
        elif place is Place.CLAMP and source is not None and self._waits(source):
            self._quantize(node, name)
        else:
            self._quantize(node, name, bounded=place is Place.BOUNDED)

    def _layer(self, node: fx.Node, name: str, source: ActivationQuantizer | None) -> None:
        layer: Any = self.modules[name]
        norm: Any = self._follower(node, Place.NORM)
        if norm is not None and self.modules[norm.target].track_running_stats:
            norm = self._take(node, norm)
        else:
            norm = None
        if isinstance(layer, FEW_VALUED):
            follower = self._follower(node, Place.SIGN)
            sign = None if follower is None else self._take(node, follower)
            simulated: SimulatedLayer = SimulatedFewValuedLayer(layer, norm, sign, source, self.clock)
            limits = None if sign is None else (1.0, 2)
        else:
            simulated, limits = SimulatedLayer(layer, norm, self._weight_quantizer(layer, name), source, self.clock), None
        self._waiting[node] = simulated
        self._replace(name, simulated)
        if limits is None:
            self._quantize(node, name)
        else:
            self._insert(node, name, ActivationQuantizer(_ONE_BIT, self.clock, limits))

    def _weight_quantizer(self, layer: Any, name: str) -> WeightQuantizer:
        bits, per_tensor = self._weight(name)
        shape, order = tuple(layer.weight.shape), None
        if target_of(self.config.target).arithmetic.adds_pairs_in_int16:
            linear = isinstance(layer, nn.Linear)
            order = matrix_order(shape, transposed=True) if linear else conv_order(shape, layer.groups)
        return WeightQuantizer(shape[0], len(shape), bits, self.clock, per_tensor=per_tensor, order=order)

    def _follower(self, node: fx.Node, place: Place) -> fx.Node | None:
        """The only reader, if it is a module of that kind."""
        user = _only_user(node)
        return user if user is not None and user.op == "call_module" and place_of(user, self.modules) is place else None

    def _take(self, node: fx.Node, follower: fx.Node) -> nn.Module:
        """Takes a follower out of the graph; its module."""
        follower.replace_all_uses_with(node)
        self.network.graph.erase_node(follower)
        return self.modules[str(follower.target)]

    def _gate(self, node: fx.Node, name: str) -> None:
        """A module of its own for every use, which holds the rounding of its gate."""
        source = self.quantizers.get(node.all_input_nodes[0])
        if source is None:
            self._quantize(node, name)
            return
        gate = gate_of(source, self.clock, self._activation_bits(name), hard=is_hard(node, self.modules))
        place = f"{name.replace('.', '_')}_gate"
        self.network.add_submodule(place, gate)
        node.op, node.target, node.args, node.kwargs = "call_module", place, node.args[:1], {}
        self._waiting[node] = gate
        self._quantize(node, name)

    def _pair(self, node: fx.Node, name: str) -> None:
        """A module of its own where both operands are rounded; a constant operand leaves the operator as it is."""
        operands = [x for x in node.args if isinstance(x, fx.Node)]
        ends = [self.quantizers.get(x) for x in operands]
        if len(operands) == 2 and not node.kwargs and ends[0] is not None and ends[1] is not None:
            adds_in_integers = target_of(self.config.target).arithmetic.adds_in_integers
            pair = SimulatedBinary(ends[0], ends[1], product=is_product(node), adds_in_integers=adds_in_integers)
            place = f"{name}_pair"
            self.network.add_submodule(place, pair)
            node.op, node.target, node.args = "call_module", place, tuple(operands)
            self._waiting[node] = pair
        self._quantize(node, name)

    def _mean(self, node: fx.Node, name: str) -> None:
        """A module of its own for every use, where the operand is rounded."""
        source = self.quantizers.get(node.all_input_nodes[0])
        if source is not None:
            mean, place = SimulatedMean(source), f"{name.replace('.', '_')}_mean"
            self.network.add_submodule(place, mean)
            node.op, node.target, node.args, node.kwargs = "call_module", place, node.args[:1], {}
            self._waiting[node] = mean
        self._quantize(node, name)

    def _join(self, node: fx.Node, name: str) -> None:
        """One quantizer for the parts and the whole."""
        self._quantize(node, name)
        shared = self.quantizers[node]
        for part in node.all_input_nodes:
            own = self.quantizers.get(part)
            if own is not None and shared is not None and own is not shared and own._fixed is None and shared._fixed is None:
                self._unite(own, shared)

    def _unite(self, old: ActivationQuantizer, new: ActivationQuantizer) -> None:
        for tensor, quantizer in self.quantizers.items():
            if quantizer is old:
                self.quantizers[tensor] = new
        for name, module in tuple(self.network.named_modules(remove_duplicate=False)):
            if module is old:
                self._replace(name, new)
            elif isinstance(module, SimulatedLayer | SimulatedBinary | SimulatedGate | SimulatedMean):
                module.connect(old, new)

    def _waits(self, source: fx.Node) -> bool:
        """Whether a clamp's operand is not rounded itself, because the clamp is its only reader."""
        return source in self.quantizers and self.quantizers[source] is None

    def _quantize(self, node: fx.Node, name: str, *, bounded: bool = False) -> None:
        """Rounds what a node gives; not where the only reader is a clamp, which is rounded instead."""
        user = only_reader(node)
        clamps = user is not None and user.op != "output" and place_of(user, self.modules) is Place.CLAMP
        if clamps and node.op != "placeholder" and not bounded:
            self.quantizers[node] = None
            return
        int_type = self.config.activation_of(self._activation_bits(name)).int_type
        limits = limits_of(node, self.modules, int_type.qmax - int_type.qmin) if bounded else None
        if limits is not None:
            int_type = IntType(int_type.bits, signed=False)
        self._insert(node, name, ActivationQuantizer(int_type, self.clock, limits))

    def _insert(self, node: fx.Node, name: str, quantizer: ActivationQuantizer) -> None:
        """Puts a quantizer behind a node."""
        quantizer.tensor = node.meta.get("tensor")
        place = f"{name.replace('.', '_')}_codes"
        self.network.add_submodule(place, quantizer)
        with self.network.graph.inserting_after(node):
            rounded = self.network.graph.call_module(place, (node,))
        rounded.meta = dict(node.meta)
        node.replace_all_uses_with(rounded, delete_user_cb=lambda reader: reader is not rounded)
        self.quantizers[node] = self.quantizers[rounded] = quantizer
        maker = node if node in self._waiting else maker_of(node)
        if maker in self._waiting:
            self._waiting.pop(maker).connect(None, quantizer)

    def _replace(self, name: str, module: nn.Module) -> None:
        parent, _, leaf = name.rpartition(".")
        setattr(self.network.get_submodule(parent), leaf, module)

    def _names(self, name: str) -> tuple[str, ...]:
        module = self.modules.get(name)
        if module is None:
            return (name,)
        return (name, type(module).__name__, str(getattr(module, "op_type", type(module).__name__)))

    def _rules(self, name: str) -> list[Rule]:
        found = []
        for rule in self.config.rules:
            fitting = [pattern for pattern in rule.match if any(fits(known, pattern) for known in self._names(name))]
            self._used.update(fitting)
            found += [rule] if fitting else []
        return found

    def _weight(self, name: str) -> tuple[int, bool]:
        bits, per_tensor = self.config.weight_bits, self.config.per_tensor
        for rule in self._rules(name):
            bits = bits if rule.weight_bits is None else rule.weight_bits
            per_tensor = per_tensor if rule.per_tensor is None else rule.per_tensor
        return bits, per_tensor

    def _activation_bits(self, name: str) -> int:
        asked = [rule.activation_bits for rule in self._rules(name) if rule.activation_bits is not None]
        return asked[-1] if asked else self.config.activation_bits

    def _in_float(self, node: fx.Node, name: str) -> bool:
        patterns = [pattern for pattern in self.config.exclude if any(fits(known, pattern) for known in self._names(name))]
        self._used.update(patterns)
        return bool(patterns) or any(rule.keep_float for rule in self._rules(name))


def _only_user(node: fx.Node) -> fx.Node | None:
    users = tuple(node.users)
    return users[0] if len(users) == 1 else None


def _is_real(node: fx.Node) -> bool:
    """Whether a node gives one tensor of floats."""
    found = node.meta.get("tensor_meta")
    return hasattr(found, "dtype") and found.dtype.is_floating_point
