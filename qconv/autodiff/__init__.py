"""Reverse differentiation without a framework: the gradient of a network is one more network."""
