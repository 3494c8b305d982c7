"""The integer graph in operators of ai.onnx alone, each in a form that runtimes besides onnxruntime take and compute alike."""

from qconv.lower.standard.write import write_standard

__all__ = ["write_standard"]
