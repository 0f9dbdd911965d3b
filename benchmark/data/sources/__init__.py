"""Sources of pairs: one a file, the file's name is its name in YAML (`source: synthetic_faces`)."""
