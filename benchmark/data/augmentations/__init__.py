"""Augmentations: one a file, the file's name is its name in YAML (`augment: {flip: {}}`)."""
