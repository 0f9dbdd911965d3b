"""BatchNorm whose statistics are those of the whole batch, although every rank sees a share of it.

On a GPU torch's SyncBatchNorm does this. torch has none for the CPU, and SyncBatchNorm would drop what a subclass of
BatchNorm adds (timm's have the activation inside). There each call of `batch_norm` is computed here instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]  # the base of all of them
from torch.overrides import TorchFunctionMode

from benchmark.errors import RowError
from benchmark.training.distributed import Ranks, SumOverRanks

Network = Callable[[Tensor], Any]


def over_ranks(network: nn.Module, ranks: Ranks, device: torch.device, *, compile: bool) -> Network:
    """Return the network as ranks call it in training: compiled or not, with the statistics of the whole batch.

    Args:
        network: Its plain BatchNorm layers are replaced, in place, where it is on a GPU; their weights stay theirs.
        ranks: The processes that train it.
        device: Where the network is.
        compile: Whether torch compiles it.

    Raises:
        RowError: It is to be compiled and has layers whose statistics are computed here.
    """
    if ranks.is_alone:
        return torch.compile(network) if compile else network
    if device.type == "cuda":
        for parent, name, layer in list(_layers(network)):
            if type(layer).forward is _BatchNorm.forward:
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(layer))
    if all(isinstance(layer, nn.SyncBatchNorm) for _, _, layer in _layers(network)):
        return torch.compile(network) if compile else network
    if compile:
        raise RowError(
            "compile: torch cannot compile this network's BatchNorm layers for devices_per_stage above 1; "
            "write `compile: false`"
        )

    def call(image: Tensor) -> Any:
        with _BatchNormOverRanks():
            return network(image)

    return call


def _layers(network: nn.Module) -> Iterator[tuple[nn.Module, str, _BatchNorm]]:
    """Yield each BatchNorm layer behind its parent and its name there."""
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                yield parent, name, child


class _BatchNormOverRanks(TorchFunctionMode):
    """Replaces the calls of `batch_norm` inside that compute statistics."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what `torch.nn.functional.batch_norm` returns for the images `B C ...` of all ranks together.

    Mean and variance are sums over all ranks, the variance around the mean, so that no digits cancel. Statistics are
    float32 at least; the running variance is the unbiased one, as in torch.
    """
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    values = input if input.dtype == torch.float64 else input.float()
    axes = [axis for axis in range(input.dim()) if axis != 1]
    count = input.numel() // input.shape[1] * dist.get_world_size()  # the shares of a batch are equal
    mean = _sum(values.sum(axes)) / count
    centred = values - _as_channels(mean, input)
    variance = _sum(centred.square().sum(axes)) / count
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((variance * count / max(count - 1, 1)).to(running_var.dtype), momentum)
    normed = centred * _as_channels((variance + eps).rsqrt(), input)
    if weight is not None:
        normed = normed * _as_channels(weight, input)
    if bias is not None:
        normed = normed + _as_channels(bias, input)
    return normed.to(input.dtype)


def _sum(share: Tensor) -> Tensor:
    return SumOverRanks.apply(share)  # pyright: ignore[reportReturnType]


def _as_channels(values: Tensor, like: Tensor) -> Tensor:
    """Return a value for each channel in a shape that broadcasts against `B C ...`."""
    return values.view(1, -1, *[1] * (like.dim() - 2))
