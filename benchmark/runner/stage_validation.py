"""Validations of a stage while it is trained: for its curve, for its best weights, and for a rule that may end it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan
from statistics import fmean

from benchmark.errors import RowError
from benchmark.evaluation.evaluate import ImageScores
from benchmark.experiment.plan import PlannedRow, PlannedStage
from benchmark.model import Restorer, restore_image
from benchmark.runner.context import Context
from benchmark.runner.events import OnAnyEvent, StageValidated
from benchmark.runner.pruning_rules import Rule, Validation
from benchmark.runner.stopping_rule import steps_before
from benchmark.runner.val_scores import images_on_val, network_with, psnr_on_val
from benchmark.training.distributed import Ranks
from benchmark.training.train_state import Checkpoint, TrainState

VAL_CURVE = "val.psnr"
"""Name in the curve of the PSNR on validation images."""


class PrunedError(RowError):
    """A rule ended a stage before its last step, after this validation."""

    def __init__(self, reason: str, validation: Validation) -> None:
        super().__init__(reason)
        self.validation = validation


class StageValidation:
    """Validates a stage of a row, and asks the rule, if there is one, whether it should end."""

    def __init__(
        self,
        row: PlannedRow,
        planned: PlannedStage,
        context: Context,
        ranks: Ranks,
        rule: Rule | None,
        on_event: OnAnyEvent,
    ) -> None:
        """Begin without validations."""
        self.end: PrunedError | None = None
        """Why the stage should end now; None: it goes on."""
        self._row, self._planned, self._context, self._ranks = row, planned, context, ranks
        self._rule, self._on_event = rule, on_event

    def is_ending(self, is_stopping: Callable[[], bool]) -> bool:
        """Return whether the stage should end, since the rule is against it or since it is to stop anyway."""
        return self.end is not None or is_stopping()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Judge the validations before a stored state: of an earlier trial, or from before an interruption.

        Raises:
            PrunedError: The rule is against one of them.
        """
        for step, name, value in checkpoint.curve if self._rule else ():
            if self._rule and name == f"val.{self._rule.metric}":
                self._judge(Validation(steps_before(self._row, self._planned) + step, value), self._rule)
                if self.end:
                    raise self.end

    def validate(self, checkpoint: Checkpoint, state: TrainState) -> Checkpoint:
        """Add the PSNR on val of the weights that the stage would yield now, and keep them if they are the best.

        With a rule, the images are scored in its metric, too, and it is asked. After the last step it is not: the
        weights that are stored then are scored by `finish`.
        """
        row, context, output = self._row, self._context, self._planned.settings.output
        weights = state.restorer.state_dict() if output == "last" else state.averaged_weights()
        restorer, device = network_with(row, weights, context).eval(), context.machine.device
        psnr = psnr_on_val(row, lambda image: restore_image(restorer, image, device), context, self._ranks)
        if self._rule and checkpoint.step < self._planned.steps:
            images = list(images_on_val(row, restorer, context))
            self._judge(self._validation(images, checkpoint.step, self._rule), self._rule)
        checkpoint = replace(checkpoint, curve=[*checkpoint.curve, (checkpoint.step, VAL_CURVE, psnr)])
        if output != "best" or checkpoint.best_psnr >= psnr:
            return checkpoint
        copies = {name: value.detach().cpu().clone() for name, value in weights.items()}
        return replace(checkpoint, best_psnr=psnr, best_weights=copies)

    def finish(self, restorer: Restorer) -> None:
        """Report the scores of the stored weights, if there is a rule for them."""
        if self._rule:
            images = list(images_on_val(self._row, restorer, self._context))
            validation = self._validation(images, self._planned.steps, self._rule)
            self._on_event(StageValidated(self._row.folder, self._planned.key, validation))

    def _judge(self, validation: Validation, rule: Rule) -> None:
        self._on_event(StageValidated(self._row.folder, self._planned.key, validation))
        reason = rule.reason_to_stop(validation)
        self.end = PrunedError(reason, validation) if reason else None

    def _validation(self, images: Sequence[ImageScores], step: int, rule: Rule) -> Validation:
        """Return what these scores are in the metric of a rule; images without the metric do not count."""
        values = {image.pair.name: image.metrics[rule.metric] for image in images if rule.metric in image.metrics}
        mean = fmean(values.values()) if values else nan
        return Validation(steps_before(self._row, self._planned) + step, mean, values)
