"""Classical denoisers as baselines of an experiment."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from benchmark.data import Pair
from benchmark.errors import ComponentError, DataError, ExperimentError
from benchmark.evaluation.baselines import BASELINE_FITS
from benchmark.evaluation.classical import check_installed, noise_deviation
from benchmark.experiment.load import load
from benchmark.experiment.plan import Environment, make_plan, source_id
from benchmark.registry import Registry


def noisy_pair(sigma=25.0):
    """A picture of soft shapes with noise that is not clipped."""
    rows, columns = np.mgrid[:48, :64]
    target = np.where(np.hypot(rows - 24, columns - 30)[..., None] < 14, (200, 90, 60), (40, 80, 120)).astype(np.uint8)
    noise = np.random.default_rng(0).standard_normal(target.shape, np.float32)
    return Pair("shapes", target + np.float32(sigma) * noise, target)


def test_the_noise_is_measured_from_the_training_pairs():
    """Its standard deviation in 8-bit levels; without pairs there is none."""
    assert noise_deviation([noisy_pair(), noisy_pair()]) == pytest.approx(25, rel=0.03)
    assert noise_deviation([]) == 0
    with pytest.raises(DataError, match="'bilateral': no training pair has noise"):
        BASELINE_FITS["bilateral"]([Pair("same", noisy_pair().target, noisy_pair().target)])


@pytest.mark.parametrize("name", ["non_local_means", "bilateral"])
def test_a_classical_denoiser_removes_noise(name):
    """By more than 6 dB on soft shapes, from values outside 0 to 255."""
    pair = noisy_pair()
    restored = BASELINE_FITS[name]([pair])(pair.degraded)
    assert restored.dtype == np.uint8 and restored.shape == pair.target.shape
    untouched = BASELINE_FITS["identity"]([])(pair.degraded)
    assert peak_signal_noise_ratio(pair.target, restored) > peak_signal_noise_ratio(pair.target, untouched) + 6


def test_a_missing_package_is_one_line(monkeypatch):
    """It names the baseline, the packages and how to install them."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ComponentError, match=r"baselines: wavelet needs scikit-image and PyWavelets; .*\[classical\]"):
        check_installed("wavelet")


def test_an_experiment_names_them_and_claims_may_too(experiment_file: Path):
    """They come after the baselines of every experiment; a name that is none is an error."""
    text = experiment_file.read_text()
    claim = "claims: [{id: a, text: b, better: base, worse: bilateral}]\n"
    experiment_file.write_text(text + "baselines: [bilateral]\n" + claim)
    experiment = load(experiment_file, Registry())
    prints = {source_id(spec): split for split, spec in experiment.rows[0].recipe.data.items()}
    plan = make_plan(experiment, prints, Environment(1, "cpu", "2"), Registry())
    assert [baseline.row for baseline in plan.baselines] == ["identity", "affine", "closing", "bilateral"]
    for wrong in (claim, "baselines: [bilaterl]\n"):
        experiment_file.write_text(text + wrong)
        with pytest.raises(ExperimentError, match=r"no row 'bilateral' .*; add it to `baselines`|baselines.0"):
            load(experiment_file, Registry())
