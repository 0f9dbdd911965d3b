"""Search of settings: an Optuna study whose trials are rows of the experiment, trained through the same stage store.

    search         trials as rows of a run
    search_events  what a search reports, and what it has found
    study          the study: finished trials, and what to try next
    storage        where it lies: journal, SQLite, PostgreSQL
    space          the parameters as Optuna sees them
    samplers       what chooses the next trial
    hub_sampler    the same, from OptunaHub
    pruners        what ends a trial early
    trial_pruning  validations to the study, rules from it
    pareto         several objectives: the front, and one trial of it
    importances    which parameters the metric varies with
    trial_results  what came out of trials, and their ranking
    trial_files    trials.csv, search.json and best.yaml
    confirm        the best trials and the base row again, with fresh seeds
    judge          what those prove
    tuning         a small search before a run: the best of a few candidates for each row
    promotion      which rows of a rung go on to the next one

Trials are compared on val; test is read for a confirmed winner and the base row alone. A trial that
fails a gate is not trained, and the sampler learns from it.
"""
