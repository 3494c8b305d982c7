"""All outputs of a model in OpenVINO for samples of a file: python openvino_outputs.py model.onnx samples.npz results.npz

It needs numpy and openvino alone. The samples are named `input#index`, the results `place of the output#index`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def main(model: str, samples: str, results: str) -> None:
    """Runs the model once for each sample, in float32 where it is not in integers.

    Sizes are those of the first sample: OpenVINO 2026.4 loses a bias of digits_vit where the batch is unknown.
    """
    import openvino

    core = openvino.Core()
    network = core.read_model(model)
    names = [port.any_name for port in network.inputs]
    found: dict[str, Any] = {}
    with np.load(samples) as arrays:
        network.reshape({name: arrays[f"{name}#0"].shape for name in names})
        compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for index in range(len(arrays.files) // len(names)):
            outputs = compiled({name: arrays[f"{name}#{index}"] for name in names})
            found |= {f"{place}#{index}": outputs[place] for place in range(len(compiled.outputs))}
    np.savez(results, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
