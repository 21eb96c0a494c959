"""Energy of the virtual boards' own traces, whose integral is known: at 100 readings in a second, and at one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from mobench_targets.linux.virtual.replay import level

from tests.collect.test_energy import END, PREFILL, START, measured, sampled

PERIOD = 7_300_000_000
"""No multiple of a second, so that readings once in a second fall on every part of the swing."""


def joules(start: int, end: int) -> float:
    """5 V times 1400 mA that swing by 600, integrated in steps of 1 ms."""
    steps = [5.0 * level(1400, 600, PERIOD, t) * 1e-3 for t in range(start, end + 1, 1_000_000)]
    return sum((a + b) / 2 * 1e-3 for a, b in pairwise(steps))


@pytest.mark.parametrize(("hz", "within"), [(100, 0.005), (1, None)])
def test_the_integral_is_the_known_one(hz: float, within: float | None) -> None:
    samples = sampled(
        hz,
        current__VDD_IN=("mA", lambda t: level(1400, 600, PERIOD, int(t * 1e9))),
        voltage__VDD_IN=("mV", lambda t: 5000),
    )
    found = measured(samples, launched=None)
    for name, start, end in (("energy_prefill", START, PREFILL), ("energy_decode", PREFILL, END)):
        value, uncertainty = found[name].value, found[name].uncertainty
        assert value is not None and uncertainty is not None
        exact = joules(start, end)
        assert abs(value - exact) <= (uncertainty if within is None else within * exact)
