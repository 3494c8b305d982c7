"""All outputs of a model for samples of a file: python outputs_of.py model.onnx samples.npz results.npz

It needs numpy and onnxruntime alone, so that it runs where nothing else is installed, as under emulation. The samples are named
`input#index`, the results `output#index`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime as ort


def main(model: str, samples: str, results: str) -> None:
    """Runs the model once for each sample."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs, outputs = ([info.name for info in infos] for infos in (session.get_inputs(), session.get_outputs()))
    found: dict[str, Any] = {}
    with np.load(samples) as arrays:
        for index in range(len(arrays.files) // len(inputs)):
            feeds = {name: arrays[f"{name}#{index}"] for name in inputs}
            found |= {f"{name}#{index}": array for name, array in zip(outputs, session.run(None, feeds), strict=True)}
    np.savez(results, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
