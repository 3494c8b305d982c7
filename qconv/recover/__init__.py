"""Accuracy without training: weight codes and biases that make each layer repair what was lost before it."""
