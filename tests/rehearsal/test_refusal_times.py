"""Times of refusals: noise is never taken for a difference, and a difference is seen through noise."""

from __future__ import annotations

import random

import pytest

from openholder.rehearsal.probes.refusal_times import NOTICEABLE, PAIRS, Comparison


def measure(shift: float, noise: float, seed: int) -> Comparison:
    """Make up the times of a server that takes 2 ms, now and then 50 times as long, and is busy to some degree."""
    chance = random.Random(seed)

    def draw() -> float:
        return 0.002 + chance.expovariate(1 / noise) + (0.1 if chance.random() < 0.03 else 0)

    comparison = Comparison(existing=lambda: None, unknown=lambda: None)
    while len(comparison.pairs) < PAIRS and not comparison.is_settled:
        comparison.pairs.append((draw() + shift, draw()))
    return comparison


def is_told(comparison: Comparison) -> bool:
    return comparison.is_certain and comparison.is_noticeable


@pytest.mark.parametrize("noise", [0.0001, 0.002, 0.02, 0.2])
def test_noise_is_no_difference(noise):
    assert not [seed for seed in range(1500) if is_told(measure(0, noise, seed))]


@pytest.mark.parametrize(("shift", "noise"), [(0.03, 0.002), (-0.03, 0.002), (0.2, 0.02), (0.02, 0.001)])
def test_a_difference_is_seen_through_noise(shift, noise):
    found = sum(is_told(measure(shift, noise, seed)) for seed in range(200))
    assert found > 190


def test_a_small_difference_is_not_told():
    assert not is_told(measure(NOTICEABLE / 2, 0.00001, 1))
