"""What a run left on disk, as values: records, their summary row by row, several runs as one."""
