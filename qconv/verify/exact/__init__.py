"""Whether an integer model computes what exact integers are, here and on other processors."""
