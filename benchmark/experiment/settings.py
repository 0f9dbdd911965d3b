"""What all parts of the experiment file are made of."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Metric = Literal["psnr", "ssim", "ms_ssim", "score", "psnr_spots", "psnr_background", "fixed_share", "harm", "texture"]


class Settings(BaseModel):
    """Strict and frozen: an unknown key is an error, and so is a number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Report(Settings):
    primary: Metric = Field(default="psnr", description="the metric rows are ranked by")
    margin: float = Field(default=0.1, ge=0, description="smallest difference of the primary metric that matters")
