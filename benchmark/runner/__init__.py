"""Running a plan: `prepare` reads what an experiment needs, `execute` trains, evaluates and records row after row.

Both are generators of events: whoever consumes them shows progress, and stopping the consumer stops the run.
"""
