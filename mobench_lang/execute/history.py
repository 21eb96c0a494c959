"""What a journal says about each trial so far.

In: journal records, in order. Out: per trial its attempts and last end; the devices, engine builds and weights it
names. Guarantee: taking the records one by one while they are written gives the same as reading the file afterwards.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mobench_lang.execute.outcome import RETRIED

Key = tuple[str, str, int]
"""Device name, cell id, repetition."""

FINISHED = frozenset({"ok", "invalid"})


@dataclass(slots=True)
class Trial:
    """One trial: launches so far, how many of them ended in a way that is retried, and its last end (`""`: none)."""

    attempts: int = 0
    failures: int = 0
    status: str = ""
    reason: str = ""

    def finished(self, retries: int) -> bool:
        """Whether the trial is over for good: measured, or failed in a way that no (further) attempt is made for."""
        if self.status == "failed":
            return self.reason not in RETRIED or self.failures > retries
        return self.status in FINISHED


@dataclass(slots=True)
class History:
    """A journal, folded."""

    trials: dict[Key, Trial] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    done: str = ""
    _measured: dict[Key, int] = field(default_factory=dict)

    def take(self, record: dict[str, Any]) -> None:
        """Add one record."""
        kind = record["kind"]
        if kind in ("start", "end", "skip"):
            self._trial(kind, record)
        elif kind == "exec":
            self.engines.update(record.get("engines", {}))
            self.done = ""
        elif kind == "device":
            self.identities[record["device"]] = record["identity"]
        elif kind == "artifact":
            self.weights[record["key"]] = record["sha256"]
        elif kind == "done":
            self.done = record["status"]

    def _trial(self, kind: str, record: dict[str, Any]) -> None:
        key = (record["device"], record["cell"], record["rep"])
        trial = self.trials.setdefault(key, Trial())
        if kind == "start":
            trial.attempts = max(trial.attempts, record["attempt"] + 1)
            self._measured[key] = record.get("measured", 1)
            return
        trial.status, trial.reason = record["status"], record["reason"]
        if kind == "end" and trial.status == "failed" and trial.reason in RETRIED:
            trial.failures += 1

    def covered(self, device: str, cell: str, good: frozenset[str] = FINISHED) -> int:
        """Under `isolation = cell`: how many repetitions of a cell ended well, counted from 0 without a gap."""
        rep = 0
        while (trial := self.trials.get((device, cell, rep))) is not None and trial.status in good:
            rep += self._measured.get((device, cell, rep), 1)
        return rep

    def counts(self) -> dict[str, int]:
        """Trials by their last status; launches without an end are `open`."""
        return dict(sorted(Counter(trial.status or "open" for trial in self.trials.values()).items()))
