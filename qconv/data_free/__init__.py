"""Samples without data, from what the batch norms of a network keep of its training."""
