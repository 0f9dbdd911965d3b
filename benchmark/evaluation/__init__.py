"""How good a restored image is: regions of an image, metrics, and the floors that need no training.

All of it works on what a user would look at: RGB uint8 arrays `H W 3`, clamped and rounded, at full size.
Nothing here knows a network; whoever restores an image hands over the pixels.
"""
