"""What a battery gauge's numbers mean, for every way in which vendors count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobench_targets.android.gauge import interpret

from mobench_lang.collect.channels import channel


@given(
    rest=st.integers(80_000, 900_000),
    step=st.integers(500_000, 4_000_000),
    in_ma=st.booleans(),
    positive=st.booleans(),
)
def test_a_discharging_phone_is_read_right_however_it_counts(rest: int, step: int, in_ma: bool, positive: bool) -> None:
    factor = (1 if positive else -1) / (1000 if in_ma else 1)
    idle = [round((rest + noise) * factor) for noise in (0, 500, -500)]
    busy = [round((rest + step + noise) * factor) for noise in (0, 500, -500)]
    meaning = interpret(idle, busy, "Discharging")
    assert meaning is not None
    assert (meaning.unit, meaning.sure) == (("" if positive else "-") + ("mA" if in_ma else "µA"), True)
    read = channel("current", meaning.unit, "")
    drawn = busy[0] * read.times / read.over
    assert drawn == pytest.approx((rest + step) / 1e6, rel=0.01)


@pytest.mark.parametrize(
    ("rest", "load", "status", "unit", "sure", "why"),
    [
        ([-350_000], [], "Discharging", "-µA", True, "sign by the status Discharging"),
        ([350_000], [], "Charging", "-µA", False, "sign by the status Charging"),
        ([-900_000], [], "Charging", "µA", False, "sign by the status Charging"),
        ([300], [900], "Unknown", "mA", True, "sign by a load step"),
        ([300_000], [300_100], "Full", "-µA", False, "sign by the kernel's convention; the phone does not tell"),
        ([300_000], [150_000], "Discharging", "-µA", False, "sign by a load step, which the status contradicts"),
    ],
)
def test_what_it_rests_on(rest: list[int], load: list[int], status: str, unit: str, sure: bool, why: str) -> None:
    meaning = interpret(rest, load, status)
    assert meaning is not None
    assert (meaning.unit, meaning.sure, meaning.rests_on) == (unit, sure, f"unit by magnitude, {why}")


def test_a_gauge_that_reads_nothing_means_nothing() -> None:
    assert interpret([0, 0], [0], "Discharging") is None
