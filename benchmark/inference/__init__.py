"""Trained networks in use: ways to run them, files for other programs, images of any size in tiles."""
