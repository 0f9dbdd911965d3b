"""`model.compress` of the experiment file: how a row's network is made smaller or taught by another row."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from benchmark.experiment.stage import Settings


class Int8(Settings):
    """Ship an ONNX file whose backbone computes in 8 bits; its ranges are calibrated on images of data.train."""

    images: PositiveInt = Field(default=16, description="training images that the ranges are calibrated on")


class Prune(Settings):
    """Remove the channels with the smallest weights before the stage that fine-tunes the rest."""

    channels: float = Field(gt=0, lt=1, description="share of the channels that is removed wherever they can be")
    stage: str | None = Field(default=None, description="starts with the pruned weights; null: the last of the order")


class Distil(Settings):
    """Train against the output of another row's network, too."""

    row: str = Field(description="the teacher: base or TABLE.ROW of this experiment, trained with the same seed")
    weight: PositiveFloat = Field(default=1.0, description="of the losses against the teacher's image")


class Compression(Settings):
    """What is done to the network of a row; several may stand together."""

    int8: Int8 | None = Field(default=None, description="ship it in 8 bits: that file is weighed, timed and scored")
    prune: Prune | None = Field(default=None, description="remove channels, then fine-tune")
    distil: str | Distil | None = Field(
        default=None, description="a row's name, or {row, weight}: learn from its output, too"
    )

    @field_validator("distil")
    @classmethod
    def _from_name(cls, value: str | Distil | None) -> Distil | None:
        return Distil(row=value) if isinstance(value, str) else value

    @property
    def teacher(self) -> Distil | None:
        """The row that this one learns from, too; None if there is none."""
        return self.distil if isinstance(self.distil, Distil) else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.int8 is None and self.prune is None and self.distil is None:
            raise ValueError("names nothing to do; give int8, prune or distil, or leave compress out")
        return self
