import numpy as np
import pytest

from models.audio.filters import bins_hz, htk_hz, htk_mel, slaney_filters, slaney_hz, slaney_mel, triangles

LIBROSA = {
    (12, 0): 0.0203129234215,
    (30, 6): 0.02490822753,
    (80, 24): 0.0260815622788,
    (250, 55): 0.00510859352924,
    (600, 79): 0.00139606318677,
}


def test_a_triangle_peaks_at_its_centre_and_ends_at_its_neighbours():
    weights = triangles(np.array([0.0, 1.0, 2.0, 3.0, 5.0, 6.0]), np.array([1.0, 2.0, 4.0, 6.0]))
    np.testing.assert_allclose(weights.T, [[0, 0, 1, 0.5, 0, 0], [0, 0, 0, 0.5, 0.5, 0]])


@pytest.mark.parametrize(
    ("to_mel", "to_hz", "known"),
    [(htk_mel, htk_hz, {0: 0, 700: 781.177, 7000: 2702.428}), (slaney_mel, slaney_hz, {0: 0, 1000: 15, 6400: 42})],
    ids=["htk", "slaney"],
)
def test_a_mel_scale_has_its_known_points_and_its_inverse(to_mel, to_hz, known):
    hz = np.array(list(known), dtype=float)
    np.testing.assert_allclose(to_mel(hz), list(known.values()), atol=1e-3)
    every = np.linspace(0, 8000, 161)
    np.testing.assert_allclose(to_hz(to_mel(every)), every, atol=1e-9)


def test_slaney_filters_are_as_librosa_makes_them():
    # librosa 0.11, filters.mel(sr=16000, n_fft=1280, n_mels=80, fmin=125, fmax=7600, dtype=float64)
    weights = slaney_filters(1280, 16_000, 80, 125.0, 7600.0)
    assert weights.shape == (641, 80)
    for (bin_, band), want in LIBROSA.items():
        assert weights[bin_, band] == pytest.approx(want, rel=1e-9)


def test_slaney_filters_have_the_area_of_one_hertz():
    weights = slaney_filters(16_000, 16_000, 80, 55.0, 7600.0)  # bins of 1 Hz
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=2e-3)
    assert bins_hz(16_000, 16_000)[[1, -1]].tolist() == [1.0, 8000.0]
