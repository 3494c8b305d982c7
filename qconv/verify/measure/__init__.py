"""What is measured of two models: their outputs, their tensors of codes, their cost."""
