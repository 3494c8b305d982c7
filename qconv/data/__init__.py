"""Samples from files, folders, arrays and functions, and the checks of them."""
