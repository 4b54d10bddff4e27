from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from genkit import Batch, Draw, UsageError
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import PRESETS
from genkit_audio.terms import MelL1, MultiResolutionSTFT, MultiScaleMel

SPEC = PRESETS["small-16k"]
TERMS = {
    "mel_l1": lambda: MelL1(SPEC),
    "multi_scale_mel": lambda: MultiScaleMel(16000),
    "multi_resolution_stft": lambda: MultiResolutionSTFT(),
}


def noise(seed: int, rows: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(rows, 4096, generator=torch.Generator().manual_seed(seed))


def turn(made: torch.Tensor | None, real: torch.Tensor | None, target: torch.Tensor | None = None) -> SimpleNamespace:
    draw = None if made is None else Draw(made, target=target)
    return SimpleNamespace(draw=draw, real=None if real is None else Batch(real))


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_zero_for_the_real_itself_and_grows_with_the_difference(name):
    term, real = TERMS[name](), noise(0)
    assert term.name == name
    assert term.needs_draw
    assert term.needs_real
    assert term(turn(real, real)).item() == 0
    near, far = (term(turn(real + share * noise(1), real)).item() for share in (0.05, 0.5))
    assert 0 < near < far


@pytest.mark.parametrize("name", TERMS)
def test_a_term_looks_at_the_draws_own_target_first(name):
    term, made, real, target = TERMS[name](), noise(0), noise(1), noise(2)
    assert term(turn(made, real, target)).item() == term(turn(made, target)).item()
    assert term(turn(made, real, target)).item() != term(turn(made, real)).item()


@pytest.mark.parametrize("name", TERMS)
def test_a_batch_is_the_mean_of_its_parts(name):
    term, made, real = TERMS[name](), noise(0, 4), noise(1, 4)
    halves = [term(turn(made[rows], real[rows])) for rows in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(term(turn(made, real)), sum(halves) / 2)


@pytest.mark.parametrize("name", TERMS)
def test_only_the_draw_has_a_gradient_and_it_is_finite_at_silence(name):
    made, real = torch.zeros(2, 4096, requires_grad=True), noise(1).requires_grad_()
    TERMS[name]()(turn(made, real)).backward()
    assert real.grad is None
    assert torch.isfinite(made.grad).all()


@pytest.mark.parametrize("name", TERMS)
def test_a_term_runs_on_meta_and_is_not_rounded_by_autocast(name):
    term = TERMS[name]()
    made, real = noise(0), noise(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = term(turn(made, real))
    assert torch.equal(rounded, term(turn(made, real)))
    term = term.to("meta")
    made = torch.empty(2, 4096, device="meta", requires_grad=True)
    term(turn(made, torch.empty(2, 4096, device="meta"))).backward()


@pytest.mark.parametrize("name", TERMS)
def test_a_term_has_nothing_to_train_or_to_save(name):
    term = TERMS[name]()
    assert not list(term.parameters())
    assert not term.state_dict()


@pytest.mark.parametrize("name", TERMS)
def test_waves_that_do_not_match_are_refused(name):
    term = TERMS[name]()
    with pytest.raises(UsageError, match="one length"):
        term(turn(noise(0), noise(0)[:, :-256]))
    with pytest.raises(UsageError, match="none"):
        term(turn(noise(0), None))


def test_mel_l1_is_the_mean_distance_of_log_mels():
    spec = replace(SPEC, high_hz=None)
    made, real = noise(0), noise(1)
    mel = MelSpectrogram(spec)
    assert MelL1(spec)(turn(made, real)).item() == pytest.approx((mel(made) - mel(real)).abs().mean().item())


def test_a_resolution_sees_a_louder_copy_as_convergence_and_logarithm_say():
    real = noise(0)
    value = MultiResolutionSTFT(resolutions=[(512, 128, 512)])(turn(2 * real, real)).item()
    assert value == pytest.approx(1 + 0.6931, rel=1e-3)


def test_a_silent_row_does_not_drown_the_others():
    term, made, real = MultiResolutionSTFT(), noise(0, 16), noise(1, 16)
    heard = term(turn(made, real)).item()
    real[3] = 0
    loud = term(turn(made, real)).item()
    made[3] *= 0.01  # 60 dB below full scale
    assert term(turn(made, real)).item() < 2 * heard
    assert loud < 100  # without a floor it is thirty times that
    made.requires_grad_()
    term(turn(made, real)).backward()
    assert torch.isfinite(made.grad).all()
