"""Remove channels of a network: those with the smallest weights, wherever the network lets them go.

Structured pruning by magnitude (Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017): the same share of every
group of channels goes, so size and cost of the pruned network do not depend on its weights.
"""

import copy
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark.errors import ExperimentError, root_cause
from benchmark.model.channels import Channel, channel_groups
from benchmark.model.restorer import Restorer


def prune(restorer: Restorer, share: float) -> Restorer:
    """Return a copy of a network without a share of its channels, on the same device and in the same mode.

    The importance of a channel is the sum of the squares of all weights that belong to it.

    Args:
        restorer: The network; it stays as it is.
        share: Of the channels of each group, from 0 to 1; rounded down, and at least one channel stays.

    Raises:
        ExperimentError: The network has no channels that can be removed, or its code counts on those it was built with.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in restorer.state_dict().items()}
    traced = copy.deepcopy(restorer).cpu().eval()
    kept = _kept_indices(channel_groups(traced, _side_for(restorer)), weights, share)
    if not kept:
        raise ExperimentError(
            f"model.compress.prune: {type(restorer.backbone).__name__} has no channels that can be removed at "
            f"channels: {share:g}; take a larger share, another backbone, or a smaller size of this one"
        )
    for (name, dim), indices in kept.items():
        weights[name] = weights[name].index_select(dim, torch.tensor(indices))
    pruned = with_shapes(restorer, weights)
    pruned.load_state_dict(weights)
    _check_runs(pruned, share)
    return pruned


def with_shapes(restorer: Restorer, weights: Mapping[str, Tensor]) -> Restorer:
    """Return a network whose weights have the shapes of these ones, e.g. of a pruned network that was stored.

    The network itself, where they have them already; else a copy, whose weights are still to be loaded.
    """
    own = restorer.state_dict()
    reshaped = {name for name, tensor in weights.items() if name in own and tensor.shape != own[name].shape}
    if not reshaped:
        return restorer
    resized = copy.deepcopy(restorer)
    for name in reshaped:
        path, _, own_name = name.rpartition(".")
        module, tensor = resized.get_submodule(path), weights[name]
        old: Tensor = getattr(module, own_name)
        new = torch.empty(tensor.shape, dtype=old.dtype, device=old.device)
        setattr(module, own_name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
    for path in {name.rpartition(".")[0] for name in reshaped}:
        _note_channels(resized.get_submodule(path))
    return resized


def _check_runs(pruned: Restorer, share: float) -> None:
    side = _side_for(pruned)
    try:
        with torch.no_grad():
            copy.deepcopy(pruned).cpu().eval()(torch.zeros(1, 3, side, side))
    except (RuntimeError, ValueError, IndexError) as error:
        raise ExperimentError(
            f"model.compress.prune: {type(pruned.backbone).__name__} does not run without {share:.0%} of its channels: "
            f"{root_cause(error)}; take another backbone"
        ) from None


def _side_for(restorer: Restorer) -> int:
    """Return a side of at least 32 pixels that the network takes without padding."""
    step = restorer.backbone.multiple_of
    return -(-max(restorer.min_side, 32) // step) * step


def _kept_indices(
    groups: list[list[Channel]], weights: Mapping[str, Tensor], share: float
) -> dict[tuple[str, int], list[int]]:
    """Return the indices that stay, by name and dimension of the weights that lose others."""
    squares = {
        key: weights[key[0]].double().square().transpose(0, key[1]).flatten(1).sum(1)
        if weights[key[0]].ndim > 1
        else weights[key[0]].double().square()
        for key in {(name, dim) for group in groups for name, dim, _ in group[0]}
    }
    removed = defaultdict[tuple[str, int], set[int]](set)
    for group in groups:
        importance = [sum(squares[name, dim][index].item() for name, dim, index in channel) for channel in group]
        ranked = sorted(range(len(group)), key=importance.__getitem__)
        for position in ranked[: min(int(share * len(group)), len(group) - 1)]:
            for name, dim, index in group[position]:
                removed[name, dim].add(index)
    return {
        (name, dim): [index for index in range(weights[name].shape[dim]) if index not in indices]
        for (name, dim), indices in removed.items()
    }


def _note_channels(module: nn.Module) -> None:
    """Bring the numbers of channels that a layer of torch notes into line with its weights."""
    if isinstance(module, nn.Conv2d):
        first, second = module.weight.shape[:2]
        module.groups = first if module.groups == module.out_channels == module.in_channels else module.groups
        module.out_channels, module.in_channels = first, second * module.groups
    elif isinstance(module, nn.ConvTranspose2d):
        module.in_channels, module.out_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = len(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)
