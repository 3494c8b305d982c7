"""Random graphs with random channel scales: the float function stays, and the integer graph is exact."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import ArtifactError
from qconv.integer.execution.compare import mismatches
from qconv.integer.language.audit import audit
from qconv.integer.program import Program
from qconv.lower import lower
from qconv.model.session import open_session
from qconv.pipeline.prepared import PreparedModel
from qconv.plan.eligible import float_nodes
from qconv.plan.make import make_plan
from qconv.plan.quant_plan import ChannelScales
from qconv.recover.channels.classes import ChannelClasses
from qconv.recover.channels.rescale import rescale
from tests.lower.harness import normal, write_model
from tests.random_graphs.generator import random_graph

COUNT = int(os.environ.get("QCONV_RANDOM_GRAPHS", "60"))


def _random_scales(classes: ChannelClasses, seed: int) -> dict[str, ChannelScales]:
    """A factor for each class, the same wherever the class is found."""
    factors = np.exp(np.random.default_rng(seed).uniform(-4.0, 0.0, classes.count)).astype(np.float32)
    factors[0] = 1.0
    return {str(v.name): ChannelScales(c.axis, factors[c.ids]) for v, c in classes.channels.items()}


def _loaded(folder: Path, seed: int) -> tuple[PreparedModel, list[dict[str, np.ndarray]]]:
    model, feeds = random_graph(seed)
    onnx.save(model, folder / "m.onnx")
    return pipeline.load_prepared(folder / "m.onnx"), feeds


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_graphs_keep_their_function_and_become_exact(tmp_path: Path, seed: int) -> None:
    loaded, feeds = _loaded(tmp_path, seed)
    model, config = loaded.ir, QuantConfig()
    kept = float_nodes(model.graph, ())
    classes = ChannelClasses(model.graph, kept, borders=True)
    scales = _random_scales(classes, seed)
    plain = [open_session(model).run(None, feed) for feed in feeds]
    rescale(model.graph, classes, scales)
    for before, feed in zip(plain, feeds, strict=True):
        for a, b in zip(before, open_session(model).run(None, feed), strict=True):
            # Float32 sums of other terms; what follows a steep function or a boundary may lie on its other side.
            assert np.isclose(a, b, rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(a).max(initial=0.0)))).mean() > 0.99
    lowered = lower(model, make_plan(model.graph, lambda name: (-4.0, 4.0), config, channel_scales=scales))
    for feed in feeds:
        assert mismatches(model, feed) == []
    words = {o.tensor: o.params for step in lowered.program.quantized for o in step.writes if o.params is not None and o.tensor}
    for name, found in scales.items():
        if name in words:
            assert words[name].scale.size == found.factors.size


def test_a_program_tells_the_scales_of_channels_that_it_was_written_with(tmp_path: Path) -> None:
    weights = {"w": normal(4, 3, 3, 3), "d": normal(4, 1, 3, 3, seed=1)}
    text = "g (float[1,3,8,8] x) => (float[1,4,4,4] y) { a = Conv(x, w) r = Relu(a) y = Conv<group=4>(r, d) }"
    loaded = pipeline.load_prepared(write_model(tmp_path / "m.onnx", text, weights))
    classes = ChannelClasses(loaded.ir.graph, {}, borders=True)
    scales = _random_scales(classes, 3)
    assert set(scales) == {"x", "a", "r", "y"}
    rescale(loaded.ir.graph, classes, scales)
    lower(loaded.ir, make_plan(loaded.ir.graph, lambda name: (-4.0, 4.0), QuantConfig(), channel_scales=scales))
    steps = {operand.tensor: operand.params for step in Program.read(loaded.ir).quantized for operand in step.writes}
    for name in ("x", "r", "y"):
        params = steps[name]
        assert params is not None and params.axis == 1
        assert np.allclose(params.scale / params.scale[0], scales[name].factors / scales[name].factors[0], rtol=1e-6)
    assert audit(loaded.ir).float_nodes == ()


TIED = "g (float[1,3,8,8] x) => (float[1,4,6,6] y) { a = Conv(x, w) r = Relu(a) b = Conv(r, v) y = Add(b, r) }"


@pytest.mark.parametrize(
    ("scales", "word"),
    [
        ({"nowhere": ChannelScales(1, np.ones(4, np.float32))}, "takes none"),
        ({"r": ChannelScales(1, np.ones(3, np.float32))}, "has 4 channels"),
        ({"r": ChannelScales(2, np.ones(4, np.float32))}, "has 4 channels on axis 1"),
        ({"a": ChannelScales(1, np.full(4, 0.5, np.float32))}, "none for it"),
        (
            {"a": ChannelScales(1, np.full(4, 0.5, np.float32)), "r": ChannelScales(1, np.full(4, 0.25, np.float32))},
            "do not fit those of its neighbours",
        ),
    ],
)
def test_scales_that_do_not_fit_are_refused(scales: dict[str, ChannelScales], word: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", TIED, {"w": normal(4, 3, 3, 3), "v": normal(4, 4, 1, 1)})
    graph = pipeline.load_prepared(path).ir.graph
    with pytest.raises(ArtifactError, match=word):
        rescale(graph, ChannelClasses(graph, {}, borders=True), scales)
