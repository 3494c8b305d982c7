"""Integer graphs made faster; every element stays what it was."""
