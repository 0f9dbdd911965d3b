"""Numbers and images of a run as drawings and pictures."""
