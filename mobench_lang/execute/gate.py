"""The gate before a launch: pause, temperature, background load.

In: an opened device and the protocol's limits. Out: how long it took, whether the limits held, and which did not.
Guarantee: it ends. When the time is over the launch runs and is marked; a limit that the device cannot answer for (no
sensor) is marked at once instead of being waited for.

Load is the share of all cores that others than mobench keep busy, over the last second: the system's load average would
count the launch before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mobench_lang.plan.model import PlanProtocol
from mobench_lang.plugins import Session

POLL_S = 1.0
SETTLED = 500
"""A temperature that changes by no more than this from one reading to the next has settled, m°C."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate found. `reasons` are the limits that did not hold (or could not be read) when it opened."""

    waited_ns: int
    passed: bool
    reasons: tuple[str, ...]
    timed_out: bool

    def record(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"waited_ns": self.waited_ns, "passed": self.passed, "reasons": list(self.reasons)}


async def wait(
    session: Session, protocol: PlanProtocol, last_end: float | None, waiting: Callable[[str, int | None], None]
) -> Gate:
    """Wait until a launch may start. `last_end` is when the last one ended (time.monotonic); `waiting` is told for what
    and the temperature."""
    begin = time.monotonic()
    max_load = None if protocol.max_load is None else Decimal(protocol.max_load)
    pause = protocol.cooldown_ns / 1e9 - (begin - last_end) if last_end is not None else 0.0
    if pause > 0:
        waiting(f"cooldown, {pause:.0f} s", None)
        await asyncio.sleep(pause)
    if protocol.start_below is None and max_load is None:
        return _gate(begin, (), timed_out=False)
    deadline = time.monotonic() + protocol.gate_timeout_ns / 1e9
    before = await session.state()
    await asyncio.sleep(POLL_S if max_load is not None else 0.0)
    last: int | None = None
    while True:
        state = await session.state()
        temperature: int | None = state.get("temperature")
        hot, unknown = _temperature(temperature, last, protocol.start_below)
        busy, no_load = _load(before, state, max_load)
        reasons = (*hot, *busy)
        if not reasons:
            return _gate(begin, (*unknown, *no_load), timed_out=False)
        left = deadline - time.monotonic()
        if left <= 0:
            return _gate(begin, (*reasons, *unknown, *no_load), timed_out=True)
        waiting(", ".join(reasons), temperature)
        before, last = state, temperature
        await asyncio.sleep(min(POLL_S, left))


def _gate(begin: float, reasons: tuple[str, ...], *, timed_out: bool) -> Gate:
    return Gate(int((time.monotonic() - begin) * 1e9), not reasons, reasons, timed_out)


def _temperature(now: int | None, last: int | None, limit: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why not yet, and what cannot be known. After a wait the temperature must have settled, too."""
    if limit is None:
        return (), ()
    if now is None:
        return (), ("no temperature sensor",)
    if now >= limit:
        return (f"{now / 1000:.1f} °C, starts below {limit / 1000:g} °C",), ()
    if last is not None and abs(now - last) > SETTLED:
        return (f"{now / 1000:.1f} °C and still changing",), ()
    return (), ()


def _load(
    before: dict[str, Any], now: dict[str, Any], limit: Decimal | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if limit is None:
        return (), ()
    share = busy_share(before, now, own_ns=0)  # nothing of mobench is at work
    if share is None:
        return (), ("background load cannot be read",)
    if share >= limit:
        return (f"background load {share:.0%}, starts below {limit:.0%}",), ()
    return (), ()


def busy_share(
    before: dict[str, Any], after: dict[str, Any], counter: str = "others_busy_ns", *, own_ns: int | None = None
) -> float | None:
    """The share of all cores that a counter grew by between two states; None where the device does not count it.

    A device that counts everybody's time together needs `own_ns`, how much of it was mobench's.
    """
    if counter not in after and own_ns is not None and counter == "others_busy_ns":
        counter = "busy_ns"
    else:
        own_ns = 0
    try:
        wall = (after["t"] - before["t"]) * after["cores"]
        return max(0.0, (after[counter] - before[counter] - own_ns) / wall) if wall > 0 else None
    except (KeyError, TypeError):
        return None
