"""Searching settings: an Optuna study whose trials are rows of the experiment, trained through the same stage store.

    study      the journal on disk: what was tried, what is to be tried next
    dispatch   which trial may start now: gates first, no stage trained twice
    results    what came out: trials.csv, best.yaml
    search     the search from beginning to end, as a generator of events

Trials are compared on val; test is not read. A trial that fails a gate is not trained, and the sampler learns from it.
"""
