"""Scales per channel for activations: channel c of a tensor is divided by k_c, which its makers and readers take into weights.

The function of the network stays; what changes is how many codes each channel gets. Where a weight has a scale per output
channel, a factor of its maker is in that scale, and the codes stay as they are. So does a depthwise reader. (Nagel et al. 2019,
section 4.1, have the same as an edit of the weights; here it is a decision in the plan.)
"""
