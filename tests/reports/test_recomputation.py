"""The published differences, computed once more from the raw scores by other code: loops, and integrals by scipy."""

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean, variance

import numpy as np
import pytest
from scipy import integrate, stats

from reports.results.load import load
from reports.results.summary import summaries
from reports.statistics.verdicts import compare_with_base

PUBLISHED = Path(__file__).parents[2] / "reports/published"


def raw_scores(study, metric):
    """Return row -> seed -> image -> score, from the gzipped tables."""
    scores = defaultdict(lambda: defaultdict(dict))
    for file in sorted((PUBLISHED / study / "scores").glob("*.csv.gz")):
        with gzip.open(file, "rt") as lines:
            for line in csv.DictReader(lines):
                if line["split"] == "test" and line["seed"] and line[metric]:
                    scores[line["row"]][int(line["seed"])][line["image"]] = float(line[metric])
    return scores


def groups_of(plan):
    """Return lists of rows that train from the start, as long as base within a factor of two, and end no earlier."""
    base = next(row for row in plan["rows"] if row["row"] == "base")

    def steps(row):
        return sum(stage["steps"] for stage in row["stages"])

    groups = defaultdict(list)
    for row in plan["rows"]:
        if row["kind"] == "baseline" or row is base:
            continue
        pairs = list(zip(row["stages"], base["stages"], strict=False))
        shared = next((i for i, (a, b) in enumerate(pairs) if a["keys"] != b["keys"]), len(pairs))
        is_alone = shared == len(pairs) or not 0.5 <= steps(row) / steps(base) <= 2
        groups[row["row"] if is_alone else shared].append(row["row"])
    return list(groups.values())


def parts(scores, row, base="base"):
    """Return mean, seed part, image part and remainder of a row minus base."""
    seeds, images = sorted(scores[row]), sorted(scores[row][min(scores[row])])
    table = [[scores[row][s][i] - scores[base][s][i] for i in images] for s in seeds]
    by_seed = [fmean(line) for line in table]
    by_image = [fmean(column) for column in zip(*table, strict=True)]
    mean = fmean(by_seed)
    rest = sum(
        (table[s][i] - by_seed[s] - by_image[i] + mean) ** 2 for s in range(len(seeds)) for i in range(len(images))
    )
    cells = len(seeds) * len(images)
    return (
        mean,
        variance(by_seed),
        variance(by_image) / len(images),
        rest / ((len(seeds) - 1) * (len(images) - 1)) / cells,
    )


def prior_degrees(squares, degrees):
    """Return the pool's degrees of freedom by the mean weight over its possible ones, with F densities of scipy."""
    mean = fmean(squares)
    choices = degrees * np.geomspace(1 / 8, degrees, 6)
    logs = []
    for prior in choices:
        terms = [
            sum(stats.f.logpdf(q / mean / scale, degrees, prior) - np.log(scale) + np.log(q / mean) for q in squares)
            for scale in np.exp(np.linspace(-3, 3, 25))
        ]
        logs.append(np.logaddexp.reduce(terms))
    weights = np.exp(np.array(logs) - max(logs))
    share = sum(w * c / (c + degrees) for w, c in zip(weights, choices, strict=True)) / weights.sum()
    return degrees * share / (1 - share)


def residuals(scores, rows):
    """Return row -> squared residuals of seed means after row and seed effects."""
    seeds = sorted(scores[rows[0]])
    means = {row: [fmean(scores[row][s].values()) for s in seeds] for row in rows}
    centred = {row: [value - fmean(values) for value in values] for row, values in means.items()}
    of_seed = [fmean(column) for column in zip(*centred.values(), strict=True)]
    return {row: sum((v - s) ** 2 for v, s in zip(values, of_seed, strict=True)) for row, values in centred.items()}


def without_noisy(scores, rows, alone):
    """Return the rows that are left when a test like Cochran's rejects none any more."""
    rows = list(rows)
    while len(rows) > 2:
        squares = residuals(scores, rows)
        worst = max(squares, key=squares.get)
        others = (len(rows) - 1) * alone
        ratio = (squares[worst] / alone) / ((sum(squares.values()) - squares[worst]) / others)
        if ratio <= stats.f.isf(0.05 / len(rows), alone, others):
            break
        rows.remove(worst)
    return rows


def grubbs(table):
    """Return the unbiased own variance of the first row of a table of (rows, columns)."""
    rows, columns = table.shape
    centred = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    squares = (centred**2).sum(1)
    return max((squares[0] - squares.sum() / (rows * (rows - 1))) * rows / (rows - 2) / (columns - 1), 0.0)


def error_of(limit, comparisons, correlation, degrees):
    """Return the probability that any of some equally correlated differences exceeds a limit, by Simpson's rule."""
    shared, chi = np.linspace(-7, 7, 201)[:, None], np.linspace(1e-6, degrees**0.5 + 8, 801)
    shift, own, reach = correlation**0.5 * shared, (1 - correlation) ** 0.5, limit * chi / degrees**0.5
    inside = stats.norm.cdf((reach - shift) / own) - stats.norm.cdf((-reach - shift) / own)
    given = integrate.simpson(stats.chi.pdf(chi, degrees) * inside, x=chi)
    return 1 - integrate.simpson(stats.norm.pdf(shared[:, 0]) * given**comparisons, x=shared[:, 0])


@pytest.mark.parametrize("study", ["seed_claims", "seed_claims_contest"])
def test_published_intervals_are_those_of_the_raw_scores(study):
    """Every trained row: difference, variance with its degrees of freedom, and the error rate that its limit keeps."""
    plan = json.loads((PUBLISHED / study / "plan.json").read_text())
    scores = raw_scores(study, plan["primary"])
    results = load(PUBLISHED / study)
    published = compare_with_base(results, summaries(results), results.metric(plan["primary"]))
    limits, pairs = {}, 0.0
    for names in groups_of(plan):
        rows = ["base", *names]
        seeds, images = len(scores["base"]), len(scores["base"][0])
        alone = seeds - 1
        kept = without_noisy(scores, rows, alone) if len(rows) > 2 else rows
        squares = residuals(scores, kept)
        pool = sum(squares.values()) / ((len(kept) - 1) * alone)
        others = fmean(squares[row] for row in kept if row != "base") * (len(kept) - 1) if "base" in kept else 0
        base_ratio = squares.get("base", 0) / alone / (others / ((len(kept) - 1) * alone)) if others else np.inf
        is_sound = len(kept) > 2 and base_ratio <= stats.f.isf(0.1, alone, (len(kept) - 1) * alone)
        assert len(rows) - len(kept) < 2, "several noisier rows share a pool, which this test would have to form"
        weight = prior_degrees(list(squares.values()), alone) * (1 - 2 / len(kept)) if is_sound else 0.0
        table = np.array([[[scores[row][s][i] for i in sorted(scores[row][s])] for s in range(seeds)] for row in rows])
        own_of_base = grubbs(table[[row in kept for row in rows]].mean(2)) if len(kept) > 2 else 0.0
        image_of_base = grubbs(table.mean(1)) if len(rows) > 2 else 0.0
        of_base = ((weight * pool + alone * own_of_base) / (weight + alone) if is_sound else own_of_base) / seeds
        loadings = []
        for row in names:
            mean, own, image, remainder = parts(scores, row)
            row_weight = weight if row in kept else 0.0
            seed = (row_weight * 2 * pool + alone * own) / (row_weight + alone) / seeds
            seed_degrees = min((len(kept) - 1) * alone, row_weight + alone)
            total = max(seed + image - remainder, seed, image)
            degrees = max(total**2 / (seed**2 / seed_degrees + image**2 / (images - 1)), 1.0)
            base_part = min(of_base, seed) + max(min(image_of_base / images, image) - remainder / 2, 0.0)
            loadings.append(min(base_part / total, 0.9) ** 0.5)
            estimate = published[row].estimate
            assert estimate.difference == pytest.approx(mean, abs=1e-9)
            assert estimate.pooled == (len(kept) if row_weight else 2)
            limits[row] = (estimate.resolution / total**0.5, degrees, estimate.precision)
        pairs += sum(loadings) ** 2 - sum(loading**2 for loading in loadings)

    rows = [row for row in limits if row in published]
    assert len(rows) >= 12
    comparisons = limits[rows[0]][2].comparisons
    claimed = {
        (frozenset((claim["better"], rival)), claim.get("metric") or plan["primary"])
        for claim in plan["claims"] if claim.get("better")
        for rival in ([claim["worse"]] if isinstance(claim["worse"], str) else claim["worse"])
    }  # fmt: skip
    against_base = {(frozenset(("base", row["row"])), plan["primary"]) for row in plan["rows"] if row["row"] != "base"}
    assert comparisons == len(claimed | against_base)
    correlation = limits[rows[0]][2].correlation
    assert correlation == pytest.approx(pairs / (comparisons * (comparisons - 1)), rel=1e-6)
    for row in (rows[0], rows[-1]):
        limit, degrees, _ = limits[row]
        assert error_of(limit, comparisons, correlation, degrees) == pytest.approx(0.04, rel=0.03)
