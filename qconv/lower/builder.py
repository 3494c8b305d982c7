"""New nodes and constants of a graph that is being lowered, and what each of them means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.metadata import Meaning
from qconv.lower.values import Codes
from qconv.model.names import Names
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import FloatArray, QuantParams

MS = "com.microsoft"
Attribute = int | float | str | Sequence[int]


class Builder:
    """Writes integer nodes in front of the float node that is being lowered. It knows no plan."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.names = Names(graph)
        self.meanings: dict[ir.Node, Meaning] = {}
        self._node: ir.Node | None = None
        self._pairs: dict[tuple[bytes, bytes, str], tuple[ir.Value, ir.Value]] = {}

    def begin(self, node: ir.Node | None) -> None:
        """Makes `node` the one being lowered: new nodes go in front of it, or to the end of the graph."""
        self._node = node

    @property
    def source(self) -> str:
        """The name of the float node that is being lowered."""
        assert self._node is not None
        return str(self._node.name)

    def initializer(self, array: NDArray[np.generic], wish: str) -> ir.Value:
        """A new constant of its own, named after `wish`."""
        name = self.names.fresh(wish)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def scale_and_zero_point(self, params: QuantParams, wish: str, scale: FloatArray | None = None) -> tuple[ir.Value, ir.Value]:
        """The two constants of `params`; `scale` overrides the scale (a nudged one).

        Unsigned activations with equal parameters share them. A weight has its own: onnxruntime has crashed on a weight zero
        point that two nodes shared.
        """
        chosen = params.scale if scale is None else np.asarray(scale, np.float32)
        zero_point = np.broadcast_to(params.zero_point, chosen.shape).astype(params.int_type.dtype)
        key = (chosen.tobytes(), zero_point.tobytes(), zero_point.dtype.str)
        if key not in self._pairs or params.int_type.signed:
            self._pairs[key] = self.initializer(chosen, f"{wish}_scale"), self.initializer(zero_point, f"{wish}_zero_point")
        return self._pairs[key]

    def emit(
        self, op_type: str, inputs: Sequence[ir.Value | None], like: ir.Value, dtype: ir.DataType, *,
        name: str, output: str, domain: str = "", attributes: Mapping[str, Attribute | ir.Attr] | None = None,
    ) -> ir.Value:  # fmt: skip
        """A new node in front of the one being lowered; its single output has the shape of `like`."""
        attrs = [a if isinstance(a, ir.Attr) else ir.convenience.convert_attribute(k, a) for k, a in (attributes or {}).items()]
        result = ir.Value(name=self.names.fresh(output), type=ir.TensorType(dtype), shape=like.shape)
        node = ir.Node(domain, op_type, inputs, attrs, outputs=[result], name=self.names.fresh_node(name))
        if self._node is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self._node, node)
        return result

    def emit_codes(
        self, op_type: str, inputs: Sequence[ir.Value | None], tensor: ir.Value, params: QuantParams, *,
        name: str | None = None, output: str | None = None, final: bool = True, source: str | None = None, domain: str = "",
        attributes: Mapping[str, Attribute | ir.Attr] | None = None, multiplier: Sequence[Multiplier] = (),
        certificate: Certificate | None = None, clamp: bool = True,
    ) -> Codes:  # fmt: skip
        """A quantized node whose output has the shape of `tensor`; narrow types get a Clip behind it.

        Its codes stand for the float tensor `tensor` where they are `final`, and for none on the way to it. `source` is the
        float node that it comes from, by default the one being lowered.
        """
        source = source or self.source
        value = self.emit(
            op_type, inputs, tensor, ir.DataType.from_numpy(params.int_type.dtype),
            name=name or source, output=output or f"{tensor.name}_quantized", domain=domain, attributes=attributes,
        )  # fmt: skip
        maker = value.producer()
        assert maker is not None
        stands_for = str(tensor.name) if final else None
        self.meanings[maker] = Meaning(source, (stands_for,), params, tuple(multiplier), certificate)
        codes = Codes(value, params)
        if not clamp:
            return codes
        return self.clip(codes, tensor, params.int_type.qmin, params.int_type.qmax, final=final, source=source)

    def emit_split(
        self,
        inputs: Sequence[ir.Value | None],
        tensors: Sequence[ir.Value],
        params: QuantParams,
        attributes: Mapping[str, ir.Attr],
    ) -> list[Codes]:
        """A Split of codes: one output for each of the float tensors `tensors`."""
        assert self._node is not None
        dtype = ir.TensorType(ir.DataType.from_numpy(params.int_type.dtype))
        results = [ir.Value(name=self.names.fresh(f"{t.name}_quantized"), type=dtype, shape=t.shape) for t in tensors]
        node = ir.Node("", "Split", inputs, list(attributes.values()), outputs=results, name=self.names.fresh_node(self.source))
        self.graph.insert_before(self._node, node)
        self.meanings[node] = Meaning(self.source, tuple(str(t.name) for t in tensors), params)
        return [Codes(result, params) for result in results]

    def emit_indexed(
        self, op_type: str, inputs: Sequence[ir.Value | None], node: ir.Node, dtype: ir.DataType | None,
        params: QuantParams, attributes: Mapping[str, ir.Attr],
    ) -> ir.Value:  # fmt: skip
        """Writes an integer form of `node`, whose second output, the indices, it replaces; returns the first output.

        That has the codes of the float tensor and its `params`, or is an int32 tensor on the way to them.
        """
        tensor, indices = node.outputs
        name, codes = str(indices.name), dtype is not ir.DataType.INT32
        indices.name = f"{name}_replaced"
        values = ir.Value(name=self.names.fresh(f"{tensor.name}_{'quantized' if codes else 'best'}"), shape=tensor.shape)
        values.type = None if dtype is None else ir.TensorType(dtype)
        found = ir.Value(name=name, type=indices.type, shape=indices.shape)
        place = self.names.fresh_node(str(node.name) if codes else f"{node.name}/best")
        made = ir.Node("", op_type, inputs, list(attributes.values()), outputs=[values, found], name=place)
        self.graph.insert_before(node, made)
        indices.replace_all_uses_with(found, replace_graph_outputs=True)
        if codes:
            self.meanings[made] = Meaning(str(node.name), (str(tensor.name), None), params)
        return values

    def shape_of(self, output: ir.Value, like: ir.Value, wish: str) -> ir.Value:
        """The shape of a float tensor as an int64 tensor: a constant if one size at most is unknown, else the shape of `like`."""
        sizes = [d if isinstance(d, int) else -1 for d in output.shape] if output.shape is not None else [-1, -1]
        if sizes.count(-1) <= 1:
            return self.initializer(np.asarray(sizes, np.int64), f"{wish}_shape")
        rank = ir.Value(shape=ir.Shape([len(like.shape) if like.shape is not None else None]))
        return self.emit("Shape", [like], rank, ir.DataType.INT64, name=f"{wish}/shape", output=f"{wish}_shape")

    def clip(
        self, codes: Codes, tensor: ir.Value, lo: int, hi: int, *,
        name: str | None = None, final: bool = True, source: str | None = None,
    ) -> Codes:  # fmt: skip
        """An integer Clip to [lo, hi], unless the container or the type keeps the codes there anyway."""
        limits = np.iinfo(codes.params.int_type.dtype)
        if lo <= limits.min and hi >= limits.max:
            return codes
        dtype = codes.params.int_type.dtype
        bounds = [
            self.initializer(np.asarray(max(lo, limits.min), dtype), f"{tensor.name}_lowest"),
            self.initializer(np.asarray(min(hi, limits.max), dtype), f"{tensor.name}_highest"),
        ]
        return self.emit_codes(
            "Clip", [codes.value, *bounds], tensor, codes.params,
            name=name or f"{self.source}/clip", final=final, source=source, clamp=False,
        )  # fmt: skip
