"""Which rows go on to the next rung, by what they reached on val."""

from benchmark.search.promotion import RungScores, front, open_rows


def scores(*values: float, macs: int = 10) -> RungScores:
    return RungScores(dict(enumerate(values)), macs)


def test_rows_whose_difference_is_settled_stay_behind() -> None:
    """Clearly worse, clearly better and clearly the same are settled; a row between, or without a score, is open."""
    rows = {
        "base": scores(30.00, 30.02, 29.98),
        "worse": scores(29.00, 29.03, 28.98),
        "better": scores(31.00, 31.02, 30.97),
        "same": scores(30.01, 30.02, 29.99),
        "open": scores(30.09, 30.12, 30.08),
        "failed": scores(),
    }
    assert open_rows(rows, margin=0.1) == {"open", "failed"}


def test_with_one_seed_nothing_is_settled() -> None:
    """There is no noise to compare a difference with."""
    assert open_rows({"base": scores(30.0), "worse": scores(20.0)}, margin=0.1) == {"worse"}


def test_the_front_leaves_out_what_costs_more_and_is_worse() -> None:
    """By more than the margin; a row that nobody scored is not known to be worse."""
    rows = {
        "base": scores(30.0, macs=10),
        "small": scores(29.0, macs=1),
        "beaten": scores(29.0, macs=20),
        "close": scores(29.95, macs=20),
        "failed": scores(macs=20),
    }
    assert front(rows, margin=0.1) == {"base", "small", "close", "failed"}
