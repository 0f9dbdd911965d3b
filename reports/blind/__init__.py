"""A blind test: people choose between images without knowing the rows. `task` makes one, `answers` reads it."""
