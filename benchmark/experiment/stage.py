"""A stage of the experiment file: its settings, their ranges and their defaults; the base class of all settings."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from benchmark.errors import suggestion

Side = Annotated[int, Field(ge=1, le=100_000)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
_MOST_VALIDATIONS = 100_000
Precision = Literal["float32", "bfloat16", "float16"]
Threads = Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]


class Settings(BaseModel):
    """Strict and frozen: an unknown key is an error, and so is a number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def by_name(kind: str, names: Sequence[str]) -> BeforeValidator:
    """Return a validator that takes a name alone for a mapping, and refuses one that is not among `names`."""

    def read(value: Any) -> Any:
        written = {"name": value} if isinstance(value, str) else value
        name = written.get("name") if isinstance(written, dict) else None
        if isinstance(name, str) and name not in names:
            raise ValueError(f"no {kind} {name!r}; {suggestion(name, names)}")
        return written

    return BeforeValidator(read)


class OpenSettings(BaseModel):
    """Settings of a component: keys besides the fields are its options, which its constructor checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def options(self) -> dict[str, Any]:
        """All keys but the fields."""
        return dict(self.model_extra or {})


class LossTerm(OpenSettings):
    """`l1: 1.0` or `ms_ssim: {weight: 1.0, window_size: 5}`; keys besides the weight are options of the loss."""

    weight: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int | float) else value


class Optimizer(BaseModel):
    """AdamW (Loshchilov & Hutter 2019), or any optimiser of timm by its name there, with its options beside it.

    Weight decay is off by default as in restoration training, and where it is on it is on all weights.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    name: str = "adamw"
    betas: tuple[float, ...] | None = Field(default=None, description="null: the optimiser's own, adamw: 0.9, 0.999")
    eps: PositiveFloat | None = Field(default=None, description="null: the optimiser's own, adamw: 1e-8")
    weight_decay: float = Field(default=0.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        """Fill in the defaults of AdamW, so that the resolved settings hold them; null means the default."""
        if not isinstance(value, dict) or value.get("name", "adamw") != "adamw":
            return value
        settings = {key: setting for key, setting in value.items() if setting is not None}
        return {"betas": (0.9, 0.999), "eps": 1e-8, **settings}


class Schedule(Settings):
    """Learning rate as a pure function of the step: linear warm-up, then by name from `lr` down to `final_share` of it.

    `step` multiplies by `factor` at each of `milestones` and knows no final share; `constant` stays.
    """

    name: Literal["cosine", "linear", "polynomial", "exponential", "step", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    final_share: float = Field(default=0.01, ge=0, le=1)
    power: PositiveFloat = Field(default=2.0, description="of polynomial")
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.5, 0.75), description="of step: as shares of the stage"
    )
    factor: float = Field(default=0.1, gt=0, lt=1, description="of step: what the rate is multiplied by")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name == "exponential" and self.final_share == 0:
            raise ValueError("an exponential schedule never reaches 0; give final_share above 0")
        for setting, owner in (("power", "polynomial"), ("milestones", "step"), ("factor", "step")):
            if self.name != owner and getattr(self, setting) != type(self).model_fields[setting].default:
                raise ValueError(f"{setting} is a setting of the schedule {owner}, this is {self.name}; drop it")
        return self


class Average(Settings):
    """Running average of weights and of buffers, such as the statistics of BatchNorm (timm's ModelEmaV3)."""

    decay: float = Field(default=0.999, ge=0, lt=1)
    warmup: bool = Field(default=True, description="begin with a smaller decay, so that initial weights are forgotten")


class Stage(Settings):
    """Settings of one stage of training."""

    steps: Count = Field(description="optimiser steps; `images` may be given in their place")
    batch: Count = Field(default=8, description="patches of a step, all devices and accumulated parts together")
    patch: Side = Field(description="side of the square patches in pixels")
    lr: PositiveFloat
    loss: dict[str, LossTerm] = Field(min_length=1)
    auxiliary_weight: float = Field(
        default=1.0, ge=0, description="deep supervision: weight of the losses of a multi-output network's other images"
    )
    augment: dict[str, dict[str, Any]] = Field(default={})
    optimizer: Optimizer = Optimizer.model_validate({})
    schedule: Schedule = Schedule()
    clip_norm: PositiveFloat | None = Field(
        default=None, description="gradients are scaled down to this norm; null: never"
    )
    accumulate: Count = Field(default=1, description="parts a batch is split into, one after the other in memory")
    ema: Average | None = Field(default=None, description="running average of the weights; null: none")
    freeze_bn_fraction: float = Field(
        default=0.0, ge=0, le=1, description="last fraction of the steps, with the statistics of BatchNorm frozen"
    )
    output: Literal["last", "ema", "best"] = Field(
        default="last",
        description="weights that are stored, tested and trained further; best: highest PSNR of all validations",
    )
    validate_every: Count | None = Field(
        default=None, description="steps between two validations; null: at four fifths of the stage and at its end"
    )
    precision: Literal["auto", Precision] = Field(
        default="auto", description="of the network; losses are float32. auto: bfloat16 on a GPU that has it"
    )
    memory_format: Literal["channels_last", "contiguous"] = Field(
        default="channels_last", description="layout of weights and feature maps; channels_last is the faster one"
    )
    compile: Literal["auto"] | bool = Field(default="auto", description="torch.compile; auto: on a GPU")
    threads: Threads = Field(
        default="auto",
        description="CPU threads of training and testing; auto: 1 or 2, by the multiply-adds of a step, on any machine",
    )
    devices_per_stage: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="GPUs, or processes on the CPU, that share every batch; batch and learning rate stay as they are",
    )
    quantiser: Literal["int8"] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # stages without it keep their keys
        description="int8: the backbone computes with values rounded to 8 bits, and gradients pass straight through",
    )
    images: PositiveInt | None = Field(default=None, exclude=True, description="in place of steps: steps * batch")

    @model_validator(mode="before")
    @classmethod
    def _steps_from_images(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("images") is None:
            return value
        images, batch = value["images"], value.get("batch", cls.model_fields["batch"].default)
        if value.get("steps") is not None:
            raise ValueError("give steps or images, not both; null deletes the one from a file below")
        if not isinstance(images, int | float) or not isinstance(batch, int) or not 1 <= images < math.inf or batch < 1:
            return value  # the checks of the fields report it
        return {**value, "steps": math.ceil(images / batch), "images": None}

    @model_serializer(mode="wrap")
    def _without_one_device(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave one device out: keys and records of such stages are those from before there was a choice."""
        settings = write(self)
        return {name: value for name, value in settings.items() if (name, value) != ("devices_per_stage", 1)}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} cannot be split into accumulate = {self.accumulate} equal parts")
        if self.batch % (self.accumulate * self.devices_per_stage):
            raise ValueError(
                f"batch {self.batch} (accumulate: {self.accumulate}) cannot be shared equally by devices_per_stage = "
                f"{self.devices_per_stage}; make it a multiple of {self.accumulate * self.devices_per_stage}"
            )
        if self.validate_every and self.steps > _MOST_VALIDATIONS * self.validate_every:
            raise ValueError(f"{self.steps // self.validate_every} validations; raise validate_every")
        if self.output == "ema" and self.ema is None:
            raise ValueError("output: ema needs an average; give `ema: {}`")
        if self.output == "last" and self.ema is not None:
            raise ValueError("nothing would use the average; give output: ema or best, or ema: null")
        return self


def late_validation_step(stage: Stage) -> int | None:
    """Return the step at four fifths of a stage; None if it is too short.

    What is gained after this step tells whether the row was still learning at the end.
    """
    return stage.steps * 4 // 5 if stage.steps >= 5 else None


def validation_steps(stage: Stage) -> frozenset[int]:
    """Return the steps with a validation during training.

    Every `validate_every` steps before the end, at four fifths, and for `output: best` also at the last step.
    """
    every, late = stage.validate_every or stage.steps, late_validation_step(stage)
    last = [stage.steps] if stage.output == "best" else []
    return frozenset([*range(every, stage.steps, every), *([late] if late else []), *last])
