"""The stream of patches of a stage where each pass over the data may show other damage."""

from benchmark.data import Pair
from benchmark.data.composite_source import in_pass
from benchmark.data.sampling import Sampler


class PassSampler(Sampler):
    """A Sampler that tells the source which pass it is in; for sources that are the same in each it changes nothing."""

    def patch_at(self, position: int) -> Pair:
        """The augmented patch at a position, `patch x patch`. Raises DataError if its image is smaller than that."""
        source = in_pass(self.source, self.seed, self.stage, position // len(self.source))
        # A plain Sampler: the source of this pass knows its pass already.
        return Sampler(source, self.seed, self.stage, self.patch, self.augmentations).patch_at(position)
