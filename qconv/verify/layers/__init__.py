"""The error of every layer, and which part of it is the layer's own."""
