"""The harness: what to run, running it, measuring it. Start reading at `benchmark/cli`."""
