"""How good a restored image is: metrics of the image and of predicted maps, and baselines that need no training.

Everything works on what a user would see: RGB uint8 arrays `H W 3`, clamped and rounded, at full size. Nothing here
knows a network; the caller restores the image and passes the pixels.
"""
