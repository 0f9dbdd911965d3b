"""Search of settings: an Optuna study whose trials are rows of the experiment, trained through the same stage store.

    study    the journal on disk: finished trials, and what to try next
    search   trials as rows, their results, and the files trials.csv and best.yaml
    tuning   a small search before a run: the best of a few candidates for each row

Trials are compared on val; test is not read. A trial that fails a gate is not trained, and the sampler learns from it.
"""
