"""Choosing ranges by what they cost at the outputs of the network, measured on samples."""
