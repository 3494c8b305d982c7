"""qconv against onnxruntime.quantization: `make bench`, or `python -m benchmarks.bench`."""
