"""A network that is run in stages, each once: what a stage leaves for the later ones is carried from cut to cut.

A stage ends in front of a layer. Codes are carried rather than the reals that a DequantizeLinear makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qconv.model.graph import const_array
from qconv.model.session import open_session
from qconv.model.traits import Trait, has_trait

Feeds = Mapping[str, NDArray[np.generic]]
Values = dict[str, NDArray[np.generic]]
CARRIED_BYTES = 192 << 20  # by one network, of all samples together
FEWEST = 8  # samples that are kept, whatever they take


class Stages:
    """One network, cut in front of some nodes, for all samples together.

    Where what is carried takes more than a budget, the last samples are given up.
    """

    def __init__(self, model: ir.Model, cuts: Sequence[ir.Node], samples: Sequence[Feeds], threads: int) -> None:
        self._model, self._threads = model, threads
        self._nodes = list(model.graph)
        self._place = {node: place for place, node in enumerate(self._nodes)}
        self._cuts = [self._place[node] for node in cuts]
        self._begin = 0
        self._carried: list[Values] = [dict(sample) for sample in samples]

    def advance(self, wanted: Sequence[str]) -> Iterator[Values]:
        """Runs one sample after the other up to the next cut, or to the end, and gives the values that `wanted` names of each.

        They are values that this stage makes, or that are carried. Who stops before the last sample keeps those that were run.
        """
        end = self._cuts.pop(0) if self._cuts else len(self._nodes)
        nodes = self._nodes[self._begin : end]
        self._begin = end
        live = self._live(end)
        made = {str(value.name) for node in nodes for value in node.outputs}
        produced = [name for name in dict.fromkeys([*live, *wanted]) if name in made]
        session = self._session(nodes, produced) if produced else None
        return self._run_samples(session, produced, live, wanted)

    def _run_samples(
        self, session: ort.InferenceSession | None, produced: Sequence[str], live: Sequence[str], wanted: Sequence[str]
    ) -> Iterator[Values]:
        room = CARRIED_BYTES
        for index, values in enumerate(self._carried):
            new = values if session is None else values | _run(session, produced, values)
            self._carried[index] = {name: new[name] for name in live}
            room -= sum(array.nbytes for array in self._carried[index].values())
            yield {name: new[name] for name in wanted}
            if room < 0 and index + 1 >= FEWEST:
                self.keep(index + 1)
                return

    @property
    def samples(self) -> int:
        """How many samples are carried."""
        return len(self._carried)

    def keep(self, count: int) -> None:
        """Keeps the first `count` samples and gives up the others."""
        del self._carried[count:]

    def _live(self, end: int) -> list[str]:
        """What nodes from `end` on read of what is there before."""
        names: dict[str, None] = {}
        pending = [value for node in self._nodes[end:] for value in node.inputs if value is not None]
        while pending:
            value = pending.pop()
            producer = value.producer()
            if const_array(value) is not None or (producer is not None and self._place[producer] >= end):
                continue
            if _is_light(producer):
                pending.extend(value for value in producer.inputs if value is not None)
            else:
                names[str(value.name)] = None
        return sorted(names)

    def _session(self, nodes: Sequence[ir.Node], outputs: Sequence[str]) -> ort.InferenceSession:
        """A session of some nodes that follow one another, and of what turns carried codes into the reals that they read."""
        chosen = _with_light_makers(nodes)
        made = {value for node in chosen for value in node.outputs}
        read = dict.fromkeys(value for node in chosen for value in node.inputs if value is not None and value not in made)
        graph = onnx.GraphProto(name="stage")
        graph.node.extend(ir.to_proto(node) for node in chosen)
        for value in read:
            array = const_array(value)
            if array is not None:
                graph.initializer.append(numpy_helper.from_array(array, str(value.name)))
            else:
                kind = helper.np_dtype_to_tensor_dtype(self._carried[0][str(value.name)].dtype)
                graph.input.append(helper.make_tensor_value_info(str(value.name), kind, None))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        opsets = [helper.make_opsetid(domain, version) for domain, version in self._model.opset_imports.items()]
        proto = helper.make_model(graph, opset_imports=opsets, ir_version=self._model.ir_version)
        return open_session(ir.from_proto(proto), threads=self._threads, fuse_quantized=False)


def _is_light(node: ir.Node | None) -> TypeGuard[ir.Node]:
    """Whether a node is run again rather than its output carried: reals take four times the memory of codes."""
    return node is not None and has_trait(node, Trait.DEQUANTIZES)


def _with_light_makers(nodes: Sequence[ir.Node]) -> list[ir.Node]:
    inside = set(nodes)
    makers = [value.producer() for node in nodes for value in node.inputs if value is not None]
    return [*dict.fromkeys(maker for maker in makers if _is_light(maker) and maker not in inside), *nodes]


def _run(session: ort.InferenceSession, outputs: Sequence[str], values: Values) -> Values:
    feeds = {info.name: values[info.name] for info in session.get_inputs()}
    return dict(zip(outputs, session.run(None, feeds), strict=True))
