"""What the numbers of a battery's gauge mean: unit and sign of its current, found out instead of believed.

In: readings of `current_now` with the battery's status, at rest and under load. Out: `Meaning`. Guarantee: raw values
stay as they are; the interpretation, and what it rests on, goes beside them into the head of the samples.

The kernel says µA, negative when discharging; vendors also count mA, and positive when discharging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST_UA = 20_000
"""A phone that is awake draws more than 20 mA, and no phone draws 20 A: in between lies the unit."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """`unit` is that of the raw value as drawn from the battery: `-µA` for a gauge that counts discharge as negative.
    `rests_on` says what showed it; `sure` is False where status and load contradict each other or say nothing."""

    unit: str
    rests_on: str
    sure: bool


def interpret(rest: Sequence[int], load: Sequence[int], status: str) -> Meaning | None:
    """The meaning of a gauge; None where it always reads 0. `load` may be empty."""
    readings = [*rest, *load]
    if not any(readings):
        return None
    magnitude = median(abs(x) for x in (load or rest))
    unit = "mA" if magnitude < LEAST_UA else "µA"
    by_status = _sign_by_status(median(readings), status)
    by_load = _sign_by_load(rest, load)
    if by_load is not None and status == "Discharging":
        sign, sure = by_load, by_status in (None, by_load)
        why = "a load step" + ("" if sure else ", which the status contradicts")
    elif by_load is not None and by_status is None:
        sign, sure, why = by_load, True, "a load step"
    elif by_status is not None:
        sign, sure, why = by_status, status == "Discharging", f"the status {status}"
    else:
        sign, sure, why = -1, False, "the kernel's convention; the phone does not tell"
    return Meaning(("" if sign > 0 else "-") + unit, f"unit by magnitude, sign by {why}", sure)


def _sign_by_status(level: float, status: str) -> int | None:
    """+1 where the gauge counts what is drawn as positive."""
    if level == 0 or status not in ("Discharging", "Charging"):
        return None
    positive = level > 0
    return 1 if positive == (status == "Discharging") else -1


def _sign_by_load(rest: Sequence[int], load: Sequence[int]) -> int | None:
    """More is drawn under load: the direction in which the reading moved, if it clearly did."""
    if not rest or not load:
        return None
    step = median(load) - median(rest)
    noise = max(max(rest) - min(rest), max(load) - min(load)) / 2
    if abs(step) <= max(noise, 0.1 * abs(median(rest))):
        return None
    return 1 if step > 0 else -1
