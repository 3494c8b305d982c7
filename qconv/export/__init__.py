"""Integer models for other places than onnxruntime: a table that stands alone, C, and test vectors."""
