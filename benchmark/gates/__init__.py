"""What a network costs, and whether it keeps within the limits of an experiment. Measured before training.

Latency has two protocols: `quick` (one process, seconds) and `full` (fresh processes, minutes). The quick one passes a
gate only with room, below half the limit; the full one decides near the limit, on a machine that does nothing else.
"""
