"""The names of what is measured beside each other. Imports nothing, like benchmarks/feeds.py."""

PLAIN = "plain inference"
OURS = "ours"
THEIRS = ("MinMax", "Percentile", "Entropy")  # of onnxruntime.quantization.CalibrationMethod
