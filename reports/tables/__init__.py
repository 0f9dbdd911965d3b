"""Numbers of a run as grids: columns, cells, captions."""
