"""The records of a run: what the collector hands to the store.

In: nothing. Out: frozen dataclasses of plain data; samples are numpy arrays because there are millions of them.
Times are ns of the measuring device's monotonic clock, except `wall_ns` and the journal's `t` (ns of UTC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobench_lang.collect.channels import Channel
from mobench_lang.plan.model import Plan
from mobench_lang.protocol import Fault, Memory, Request, Scored, Start, Timed, Told, Used

Ints = NDArray[np.int64]
Status = Literal["ok", "failed", "invalid", "skipped"]

# Stands for "could not be read" in arrays of raw values: no sensor delivers the least 64-bit number.
MISSING = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric of one trial; `value` is None with a `reason` where there is none, never 0."""

    name: str
    value: float | None
    unit: str
    method: str = ""
    uncertainty: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A phase of a pass: `load` (request −1), or `prefill`, `decode`, `depth`, `think`, `score` of a request."""

    request: int
    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Samples:
    """What the sampler read: `raw[i, c]` of channel c at `t[i]`, MISSING where it could not be read, and its own
    cost. `states` says per channel how its file answered last (`ok`, `denied`, `gone`…), where the sampler told it.

    Where a meter outside of the device recorded the launch, its power is the channel `power.meter`, whose times are
    known to `skew_ns`; or `unmetered` is the reason why there is none. From `quiet_from` on the device rested until the
    instrument began: before, it made the pulses by which the meter is aligned."""

    channels: tuple[Channel, ...]
    hz: float
    t: Ints
    raw: Ints
    cpu_ns: int | None
    wall_ns: int | None
    damaged: bool
    states: tuple[str, ...] = ()
    unmetered: str = ""
    skew_ns: float = 0.0
    quiet_from: int | None = None

    def why_not(self, bases: Sequence[str]) -> str:
        """`denied` or `gone` where a channel of that base has a file that could not be read; else nothing."""
        told = {s for c, s in zip(self.channels, self.states, strict=False) if c.base in bases}
        return next((s for s in ("denied", "gone") if s in told), "")

    def between(self, start: int, end: int) -> slice:
        """The rows with start ≤ t ≤ end; rows are in order of time."""
        return slice(int(np.searchsorted(self.t, start, "left")), int(np.searchsorted(self.t, end, "right")))


NO_SAMPLES = Samples((), 0.0, np.empty(0, np.int64), np.empty((0, 0), np.int64), None, None, False)


@dataclass(frozen=True, slots=True)
class Trial:
    """One pass of a launch. `number` is the pass in the launch; `rows` are its rows of the launch's samples. `timed`
    stands for requests and bounds where a tool of others timed the pass.

    What belongs to the launch as a whole (the load, samples outside every pass) is on its first measured pass.
    """

    rep: int
    number: int
    warmup: bool
    status: Status
    reason: str
    detail: str
    flags: tuple[str, ...]
    start: int | None
    end: int | None
    cpu_ns: int | None
    windows: tuple[Window, ...]
    requests: tuple[Request, ...]
    marks: tuple[Memory, ...]
    rows: Ints
    metrics: tuple[MetricValue, ...]
    timed: Timed | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of the instrument (or one decision not to launch), with its passes as trials."""

    device: str
    cell: str
    rep: int
    attempt: int
    block: int | None
    order: int | None
    folder: str
    gate: Mapping[str, Any] | None
    wall_start: int
    wall_end: int | None
    engine_start_ns: int | None
    overhead_ns: int | None
    started: Start | None
    used: Used | Told | None
    faults: tuple[Fault, ...]
    scores: tuple[Scored, ...]
    state: Mapping[str, Any]
    samples: Samples
    trials: tuple[Trial, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder. `launches` are read one after the other by `collect.run.launches`, as they may be large."""

    folder: Path
    run_id: str
    header: Mapping[str, Any]
    plan: Plan
    journal: tuple[Mapping[str, Any], ...]
    damaged: bool
