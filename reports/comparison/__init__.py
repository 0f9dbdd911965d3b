"""Several runs in one table: comparisons with a reference row, and leaderboards."""
