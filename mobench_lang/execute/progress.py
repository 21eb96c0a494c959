"""What an `exec` tells while it works: facts, no texts for a terminal. The faces render them.

Out: one frozen record per thing that happened, given to the callback in the order in which it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Opened:
    """A run begins or goes on. `total` trials belong to the plan (after `--only`), `done` of them are finished."""

    run_id: str
    folder: Path
    resumed: bool
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class DeviceReady:
    """A device was opened: its name, what it is, and how many of its trials are finished and wanted."""

    device: str
    about: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class DeviceGone:
    """A device cannot be used (any more); its unfinished trials stay for the next `exec`."""

    device: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Preparing:
    """Something slow before the first trial: weights are found, downloaded or derived."""

    what: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device waits before its next launch; `temperature` in m°C where it is known."""

    device: str
    what: str
    temperature: int | None


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A launch begins. `labels` are the values of the cell's axes."""

    device: str
    cell: str
    rep: int
    attempt: int
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A launch is over and recorded; `final` unless another attempt follows. `done` of the device's `total` trials are
    finished; `temperature` (m°C) is that after the launch."""

    device: str
    cell: str
    rep: int
    attempt: int
    status: str
    reason: str
    detail: str
    final: bool
    done: int
    total: int
    wall_ns: int
    temperature: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know; `level` is `info` or `warning`."""

    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The `exec` is over; `counts` are of the whole run, by status."""

    run_id: str
    status: str
    counts: tuple[tuple[str, int], ...]


Progress: TypeAlias = (
    Opened | DeviceReady | DeviceGone | Preparing | Waiting | TrialStarted | TrialEnded | Notice | Closed
)
