"""What an experiment states, and what a text quotes, held against records."""
