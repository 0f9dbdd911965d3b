"""How long one image takes: two protocols, `quick` (one process, seconds) and `full` (fresh processes, minutes).

Timed is the whole way (8-bit image on the host to 8-bit image on the host) and, in the same call, the network alone.
Only the full protocol can pass a gate, and only on a machine that did nothing else meanwhile.
"""
