"""Choosing ranges by what they cost at the outputs of the network, measured on samples."""

from qconv.search.noise import Noise
from qconv.search.ranges import Candidates, search_ranges

__all__ = ["Candidates", "Noise", "search_ranges"]
