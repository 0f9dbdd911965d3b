"""The processes that train one stage together (data parallel): what each takes, and what they sum or agree on.

Every rank holds the whole network and sees an equal share of each batch. All of them compute the same sums in the same
order, so their weights stay equal to the last bit, and every decision is made from numbers that all of them have.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train a stage together; by default it is alone, and nothing is exchanged."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """Number of processes."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that stores and reports."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.count == 1

    def positions(self, step: int, batch: int, parts: int = 1) -> list[int]:
        """Return the positions in the stream of patches that this rank takes of the batch of a step (from 1).

        Each of the `parts` that a batch is accumulated from is shared among the ranks, so that what is computed over a
        part (statistics of BatchNorm, losses over the batch) is the same as in one process.
        """
        part, share = batch // parts, batch // (parts * self.count)
        starts = ((step - 1) * batch + index * part + self.rank * share for index in range(parts))
        return [position for start in starts for position in range(start, start + share)]

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any rank: one signal stops all of them after the same step."""
        if self.is_alone:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return bool(value)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the ranks of a tensor that each of them has; NaN in one rank is NaN in all."""
        if self.is_alone:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.count

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their mean over the ranks, in place, in one exchange for each type of number.

        The networks here have some 10 MB of weights. To exchange them during the backward pass, as torch's
        DistributedDataParallel does, would gain little and bring hooks that unused weights and rollbacks must mind.
        """
        if self.is_alone:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for dtype in sorted({gradient.dtype for gradient in gradients}, key=str):
            same_type = [gradient for gradient in gradients if gradient.dtype == dtype]
            total = torch.cat([gradient.flatten() for gradient in same_type])
            dist.all_reduce(total)
            total /= self.count
            pieces = total.split([gradient.numel() for gradient in same_type])
            for gradient, piece in zip(same_type, pieces, strict=True):
                gradient.copy_(piece.view(gradient.shape))

    def whole_batch(self, share: Tensor) -> Tensor:
        """Return the images `B ...` of all ranks, in the order of the batch, given those of this one.

        For a loss over the whole batch, which every rank then computes. A rank's gradient covers its own images; it is
        multiplied by the number of ranks, since `average_gradients` divides by it.
        """
        return share if self.is_alone else _WholeBatch.apply(share, self)  # pyright: ignore[reportReturnType]

    def gather(self, item: Item) -> list[Item]:
        """Return the items of all ranks, in the order of their numbers; an item must be picklable."""
        if self.is_alone:
            return [item]
        items: list[Any] = [None] * self.count
        dist.all_gather_object(items, item)
        return items

    def gather_in_turn(self, items: Sequence[Item]) -> list[Item]:
        """Return all items in order, where this rank has those at `rank`, `rank + count`, `rank + 2 * count`, ..."""
        shares = self.gather(items)
        total = sum(map(len, shares))
        return [shares[index % self.count][index // self.count] for index in range(total)]


ALONE = Ranks()


class SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks. Its gradient is the sum of the gradients, as each rank depends on it."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the sum."""
        total = share.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the sum of the gradients of all ranks."""
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class _WholeBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, share: Tensor, ranks: Ranks) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.ranks = ranks
        shares = [torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(ranks.count)]
        dist.all_gather(shares, share.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ranks: Ranks = ctx.ranks
        return gradient.chunk(ranks.count)[ranks.rank] * ranks.count, None
