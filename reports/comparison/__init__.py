"""Several runs in one table, where they were tested on the same images."""
