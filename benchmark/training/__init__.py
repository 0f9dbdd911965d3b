"""Training of one stage: (weights in, stage settings, data, seed) -> weights out."""

ENGINE_VERSION = 3
"""Part of every stage's key. Raise it with a change that alters what training, sampling or evaluation compute."""
