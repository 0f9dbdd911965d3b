"""The mean over the worst share of some errors: what losses that mine hard examples have in common."""

from torch import Tensor


def check_share(share: float) -> None:
    """Raises ValueError unless `share` is above 0 and at most 1."""
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, not {share}")


def worst_mean(errors: Tensor, share: float) -> Tensor:
    """Mean over the largest errors of the last dimension, `... N -> ...`: `share` of them, at least one."""
    count = max(1, round(share * errors.shape[-1]))
    return errors.topk(count, dim=-1, sorted=False).values.mean(dim=-1)
