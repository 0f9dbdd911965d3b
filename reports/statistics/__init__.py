"""Intervals over seeds and images, the words they give, and how often such intervals hold."""
