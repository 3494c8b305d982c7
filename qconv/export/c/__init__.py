"""C99 for processors without floating point: one source file of kernels and calls, one of constants, and tests."""
