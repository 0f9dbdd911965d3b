"""The words of a report in plain English. The page shows a meaning where the reader points at a word."""

from reports.metrics import IMAGE_METRICS
from reports.pages import Definitions, Details
from reports.statistics.intervals import FEWEST_SEEDS

_TERMS = {
    "row": "One network with its way of training. The report compares rows.",
    "base": "The row that all others are compared with.",
    "baseline": "A way to restore without training: doing nothing, one colour change, or a simple filter. A row that "
    "does not beat it is not worth its weights.",
    "identity": "Doing nothing: the damaged image as it is.",
    "affine": "One colour change for all images, fitted to the training pairs.",
    "closing": "A simple filter that fills small dark spots.",
    "seed": "The number that the random choices of a training start from. Other seeds show how much is chance.",
    "interval": "The range that holds the true difference in 95 of 100 studies like this one. If it holds 0, the rows "
    "may be equal.",
    "verdict": f"What the interval means, in a word. It needs at least {FEWEST_SEEDS} seeds.",
    "inconclusive": "Not significant: this run cannot tell which row is better.",
    "equivalent": "Any difference is smaller than what matters.",
    "margin": "The smallest difference that matters in this experiment.",
    "gate": "A limit on size, time or memory that a row must keep.",
    "stage": "A part of the training with its own loss and settings; stages follow one another.",
    "harm": IMAGE_METRICS["harm"].meaning,
    "worse than doing nothing": "Said of photographs: the PSNR of the whole image is lower than that of the damaged "
    "image. It is not harm, which counts levels outside the spots alone.",
    "spots": "The places that had to change: damage of more than 30 levels.",
    "front": "The rows that no other row beats in both quality and cost.",
    "PSNR": "How near an image is to its target, in decibels: 1 dB more is a fifth less "
    "squared error, 10 dB a tenth of it.",
    "MACs": "Multiplications and additions for one image: a measure of work that no machine changes.",
    "resolution": "Half the width of the interval. Smaller differences cannot be told from chance.",
}


def glossary() -> Details:
    """Return the words with their meanings."""
    entries = tuple((term, "", meaning) for term, meaning in _TERMS.items())
    return Details("What the words mean", (Definitions(entries),), is_open=True, anchor="words")
