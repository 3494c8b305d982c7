"""The integer network: its language, what it computes, its table."""
