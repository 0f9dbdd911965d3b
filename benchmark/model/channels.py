"""Which channels of a network belong together: found by running it once and following every channel.

A channel of a convolution cannot be removed alone: what reads it, is added to it or is multiplied with it has to lose
the same channel. `channel_groups` follows the dimensions of all weights through the operations of torch. Where an
operation is not known here, e.g. the split into heads of an attention, the channels that enter it stay.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

Channel = tuple[tuple[str, int, int], ...]
"""A channel: (weight, dimension, index) of everything that goes with it."""
Labels = tuple[list[int] | None, ...]
"""For each dimension of a tensor the channels along it; None where it has none, e.g. for height and width."""
_SIDE = 32


def channel_groups(restorer: nn.Module, side: int = _SIDE) -> list[list[Channel]]:
    """Return the removable channels of a network, in groups: the channels of a group are alike and can be ranked.

    Args:
        restorer: The network, in eval mode on the CPU; its result has an attribute `image`.
        side: Of the image that it is run with.
    """
    tracker = _ChannelTracker(restorer)
    with torch.no_grad(), tracker:
        tracker.freeze([restorer(torch.zeros(1, 3, side, side)).image])
    return tracker.groups()


@dataclass(frozen=True)
class _Tensors:
    """Labels by tensor. Tensors are kept, so that no address is used twice."""

    labels: dict[int, tuple[Tensor, Labels]]

    def __getitem__(self, tensor: Any) -> Labels:
        if not isinstance(tensor, Tensor):
            return ()
        _, labels = self.labels.get(id(tensor), (tensor, ()))
        return labels if len(labels) == tensor.ndim else (None,) * tensor.ndim

    def __setitem__(self, tensor: Tensor, labels: Labels) -> None:
        self.labels[id(tensor)] = (tensor, labels)


class _ChannelTracker(TorchDispatchMode):
    """Follows channels through the operations inside the block; channels that meet are joined."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._members: list[tuple[str, int, int]] = []
        self._parents: list[int] = []
        self._frozen: set[int] = set()
        self._tensors = _Tensors({})
        stored = network.state_dict(keep_vars=True)
        for name, tensor in stored.items():
            self._tensors[tensor] = tuple(self._new(name, dim, size) for dim, size in enumerate(tensor.shape))
        for tensor in network.buffers():  # what no file of weights holds keeps its size
            if all(tensor is not value for value in stored.values()):
                self._tensors[tensor] = (None,) * tensor.ndim

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.rstrip("_")
        rule = _RULES.get(name)
        if rule is None or not rule(self, args, result):
            self.freeze([*tree_iter((args, kwargs or {})), *tree_iter(result)])
        return result

    def groups(self) -> list[list[Channel]]:
        """Return the channels that may be removed, in groups of channels of the same weights."""
        frozen, members = {self._root(channel) for channel in self._frozen}, defaultdict[int, list[int]](list)
        for channel in range(len(self._members)):
            members[self._root(channel)].append(channel)
        groups = defaultdict[frozenset[tuple[str, int]], list[Channel]](list)
        for root, channels in members.items():
            channel = tuple(self._members[member] for member in channels)
            if root not in frozen:
                groups[frozenset((name, dim) for name, dim, _ in channel)].append(channel)
        return [group for group in groups.values() if len(group) > 1]

    def freeze(self, tensors: Iterable[Any]) -> None:
        """Keep all channels of some tensors."""
        for tensor in tensors:
            for labels in self._tensors[tensor]:
                self._frozen.update(labels or ())

    def labels(self, tensor: Any) -> Labels:
        """Return the labels of a tensor, one for each dimension."""
        return self._tensors[tensor]

    def note(self, result: Tensor, labels: Sequence[list[int] | None]) -> bool:
        """Give the result of an operation its labels."""
        self._tensors[result] = tuple(labels)
        return True

    def join(self, *parts: list[int] | None) -> list[int] | None:
        """Join channels that go together, index by index; where a part has no labels, the others stay."""
        labelled = [part for part in parts if part is not None]
        if len(labelled) < len(parts) or len({len(part) for part in labelled}) > 1:
            for part in labelled:
                self._frozen.update(part)
            return labelled[0] if labelled else None
        for part in labelled[1:]:
            for first, second in zip(labelled[0], part, strict=True):
                self._parents[self._root(second)] = self._root(first)
        return labelled[0] if labelled else None

    def _new(self, name: str, dim: int, size: int) -> list[int] | None:
        if size == 1 or dim > 1:  # the sides of a kernel
            return None
        start = len(self._members)
        self._members += [(name, dim, index) for index in range(size)]
        self._parents += range(start, start + size)
        return list(range(start, start + size))

    def _root(self, channel: int) -> int:
        while self._parents[channel] != channel:
            self._parents[channel] = self._parents[self._parents[channel]]
            channel = self._parents[channel]
        return channel


Rule = Callable[[_ChannelTracker, Sequence[Any], Any], bool]
"""From tracker, arguments and result to whether the operation is understood; it labels the result."""


def _convolution(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    features, weight, bias, transposed, groups = args[0], args[1], args[2], args[6], args[8]
    read, (first, second, *_) = tracker.labels(features)[1], tracker.labels(weight)
    written, reading = (second, first) if transposed else (first, second)
    if groups == 1:
        tracker.join(read, reading)
    elif groups == features.shape[1] == weight.shape[0] and weight.shape[1] == 1:
        tracker.join(read, written := first)
    else:
        return False
    if bias is not None:
        tracker.join(written, tracker.labels(bias)[0])
    return tracker.note(result, (None, written, *[None] * (result.ndim - 2)))


def _elementwise(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    labels: list[list[int] | None] = []
    for dim, size in enumerate(result.shape):
        parts: list[list[int] | None] = []
        for tensor in (tensor for tensor in args if isinstance(tensor, Tensor)):
            at = dim - result.ndim + tensor.ndim
            if at >= 0 and tensor.shape[at] == size > 1:
                parts.append(tracker.labels(tensor)[at])
        labels.append(tracker.join(*parts))
    return tracker.note(result, labels)


def _per_channel(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    """Follow padding, pooling and resizing: sides change, channels stay."""
    features, (image, *_) = args[0], list(tree_iter(result))
    labels = tracker.labels(features)
    if image.shape[:2] != features.shape[:2]:
        return False
    return tracker.note(image, (*labels[:2], *[None] * (image.ndim - 2)))


def _reduction(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    features, dims = args[0], args[1] if len(args) > 1 else None
    if dims is None or len(args) < 3 or not args[2]:  # without keepdim
        return result.ndim == 0 and tracker.note(result, ())
    reduced = {dim % features.ndim for dim in ([dims] if isinstance(dims, int) else dims)}
    return tracker.note(result, [None if dim in reduced else part for dim, part in enumerate(tracker.labels(features))])


def _normalisation(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    """Follow layer normalisation of the last dimension, and batch normalisation of the second."""
    features, image = args[0], result[0]
    dim = 1 if isinstance(args[1], Tensor) else features.ndim - 1
    if dim > 1 and len(args[1]) > 1:
        return False
    labels = list(tracker.labels(features))
    for weight in (weight for weight in args[1:5] if isinstance(weight, Tensor)):
        labels[dim] = tracker.join(labels[dim], tracker.labels(weight)[0])
    return tracker.note(image, labels)


def _concatenation(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    tensors, dim = args[0], (args[1] if len(args) > 1 else 0) % result.ndim
    parts = [tracker.labels(tensor) for tensor in tensors]
    if any(part[dim] is None for part in parts):
        return False
    labels = [tracker.join(*[part[at] for part in parts]) if at != dim else None for at in range(result.ndim)]
    labels[dim] = [channel for part in parts for channel in part[dim] or ()]
    return tracker.note(result, labels)


def _split(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    """Keep equal parts, as `chunk` makes them, equal: each loses the same channels."""
    features, size = args[0], args[1]
    dim = (args[2] if len(args) > 2 else 0) % features.ndim
    labels = tracker.labels(features)[dim]
    if labels is None or len(labels) % size:
        return False
    parts = [labels[start : start + size] for start in range(0, len(labels), size)]
    tracker.join(*parts)
    for part, tensor in zip(parts, result, strict=True):
        tracker.note(tensor, [part if at == dim else old for at, old in enumerate(tracker.labels(features))])
    return True


def _view(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    """Follow dimensions that are the same: their size is, and the number of values before them."""
    features = args[0]
    places = {(_before(result, dim), size): dim for dim, size in enumerate(result.shape) if size > 1}
    labels: list[list[int] | None] = [None] * result.ndim
    for dim, part in enumerate(tracker.labels(features)):
        place = places.get((_before(features, dim), features.shape[dim]))
        if part is not None and place is None:
            return False
        if place is not None:
            labels[place] = part
    return tracker.note(result, labels)


def _before(tensor: Tensor, dim: int) -> int:
    return tensor.shape[:dim].numel()


def _permutation(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    labels = tracker.labels(args[0])
    return tracker.note(result, [labels[dim] for dim in args[1]])


def _transposition(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    labels = list(tracker.labels(args[0]))
    first, second = args[1:] if len(args) > 1 else (0, 1)
    labels[first], labels[second] = labels[second], labels[first]
    return tracker.note(result, labels)


def _product(tracker: _ChannelTracker, args: Sequence[Any], result: Any) -> bool:
    """Follow matrix products: the inner dimensions are summed over together."""
    *bias, first, second = (tracker.labels(tensor) for tensor in args if isinstance(tensor, Tensor))
    tracker.join(first[-1], second[-2])
    written = tracker.join(second[-1], *[part[-1] for part in bias])
    return tracker.note(result, (*first[:-1], written))


_UNARY = "relu gelu silu sigmoid tanh hardtanh clamp leaky_relu hardswish hardsigmoid clone detach alias _to_copy exp "
_BINARY = "add sub mul div addcmul rsqrt sqrt pow neg abs maximum minimum prelu _prelu_kernel rsub lift_fresh softplus"
_PER_CHANNEL = (
    "constant_pad_nd reflection_pad2d replication_pad2d _adaptive_avg_pool2d avg_pool2d max_pool2d_with_indices "
    "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d"
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys((_UNARY + _BINARY).split(), _elementwise),
    **dict.fromkeys(_PER_CHANNEL.split(), _per_channel),
    **dict.fromkeys(("mean", "sum", "amax"), _reduction),
    **dict.fromkeys(("native_layer_norm", "native_batch_norm", "_native_batch_norm_legit_no_training"), _normalisation),
    **dict.fromkeys(("view", "_unsafe_view", "unsqueeze", "squeeze", "_reshape_alias", "reshape"), _view),
    **dict.fromkeys(("mm", "addmm", "bmm"), _product),
    **dict.fromkeys(("transpose", "t"), _transposition),
    "convolution": _convolution,
    "cat": _concatenation,
    "split": _split,
    "permute": _permutation,
}
