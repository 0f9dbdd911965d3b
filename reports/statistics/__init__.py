"""Differences between rows: intervals that count the chance of seeds and of test images, and their verdicts."""
