"""Tables of a report as grids: numbers of a run in columns and cells, with captions."""
