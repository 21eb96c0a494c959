"""Which launches a run still needs.

In: the schedule, the journal's history, what was asked for. Out: pending slots in order. Guarantee: no slot of a
finished trial, unless failed ones were asked for again; every repetition of every selected cell is in exactly one slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mobench_lang.execute.history import FINISHED, History, Trial
from mobench_lang.execute.load import Build
from mobench_lang.ir import Value
from mobench_lang.plan.cell import resolve
from mobench_lang.plan.schedule import Slot, schedule

Only = Callable[[Mapping[str, str], Mapping[str, Value]], bool]
"""Whether a cell is wanted, from the labels and the values of its axes, with what free axes bind applied."""


@dataclass(slots=True)
class Work:
    """What one physical device has to do: pending slots in order, and the numbers of finished and wanted trials."""

    slots: list[Slot]
    done: int
    total: int


def select(build: Build, only: Only | None) -> dict[str, list[int]]:
    """The wanted cells by device name, in declared order."""
    labels = build.device_labels()
    chosen: dict[str, list[int]] = {}
    for number, index in enumerate(build.device_index):
        if only is None or _wanted(build, number, only):
            chosen.setdefault(labels[index], []).append(number)
    return chosen


def _wanted(build: Build, number: int, only: Only) -> bool:
    vector = build.vector(number)
    pairs = list(zip(build.plan.axes, vector, strict=True))
    values: dict[str, Value] = {axis.name: axis.values[i] for axis, i in pairs}
    cell = resolve(build.plan, vector)  # `engine.threads` means what the launch will be told
    values |= {"engine": cell.engine, "device": cell.device, "workload": cell.workload}
    return only({axis.name: axis.labels[i] for axis, i in pairs}, values)


def work(build: Build, cells: list[int], history: History, *, retry_failed: bool) -> Work:
    """The work of one physical device. `cells` may belong to several names of it."""
    protocol, labels = build.plan.protocol, build.device_labels()
    good = frozenset({"ok"}) if retry_failed else FINISHED
    pending: list[Slot] = []
    done = total = 0
    for slot in schedule(build.ids, cells, protocol):
        device = labels[build.device_index[slot.cell]]
        cell = build.ids[slot.cell]
        total += slot.measured
        rest = slot
        if protocol.isolation == "cell" and (covered := history.covered(device, cell, good)):
            # The plan may have gained repetitions since: they are one more launch.
            done += min(covered, slot.measured)
            if covered >= slot.measured:
                continue
            rest = Slot(slot.block, slot.order, slot.cell, covered, slot.measured - covered)
        trial = history.trials.get((device, cell, rest.rep))
        if trial is not None and _over(trial, protocol.retries, retry_failed=retry_failed):
            done += rest.measured
        else:
            pending.append(rest)
    return Work(pending, done, total)


def _over(trial: Trial, retries: int, *, retry_failed: bool) -> bool:
    if retry_failed and trial.status in ("failed", "invalid"):
        return False
    return trial.finished(retries)
