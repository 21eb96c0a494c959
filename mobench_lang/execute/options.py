"""What is asked of an `exec`, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mobench_lang.execute.pending import Only
from mobench_lang.execute.progress import Progress

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked of `exec`. `only` chooses cells; `devices` overrides serials by device name, other addresses by
    `NAME.ATTRIBUTE`; `simulate` puts virtual devices of a profile in their place; `cache` is where engines keep derived
    and downloaded weights."""

    cache: Path
    only: Only | None = None
    retry_failed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    dry_run: bool = False
    devices: Mapping[str, str] = field(default_factory=dict)
    simulate: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Where the run stands. `counts` are its trials by status; `pending` those of the plan (after `--only`) that are
    still to be measured; `folder` is None for a dry run that would begin a new run."""

    run_id: str
    folder: Path | None
    counts: dict[str, int]
    pending: int
    interrupted: bool
    resumed: bool
    notes: tuple[str, ...] = ()
