"""What each part of a network loses when it is quantized, measured at the outputs, and what to do about it."""
