"""What a network costs, and whether it keeps within the limits of an experiment. Measured before training.

Latency has two protocols: `quick` (one process, seconds) and `full` (fresh processes, minutes). Only the full protocol
can pass a gate, and only on a machine that did nothing else meanwhile.
"""
