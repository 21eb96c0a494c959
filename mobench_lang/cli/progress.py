"""Progress of an `exec` for people: a live table on a terminal, plain lines elsewhere.

In: progress records. Out: text on stderr. Guarantee: it draws when something happened and never by a clock of its own:
a launch that is measured on this machine has no redraws beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from mobench_lang.execute.progress import (
    Closed,
    DeviceGone,
    DeviceReady,
    Notice,
    Opened,
    Preparing,
    Progress,
    TrialEnded,
    TrialStarted,
    Waiting,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Report = Callable[[Progress], None]


@dataclass(slots=True)
class Row:
    """What is known of one device."""

    done: int = 0
    total: int = 0
    measured: int = 0
    began: float = 0.0
    temperature: int | None = None
    doing: str = "ready"

    def eta(self, now: float) -> str:
        """Time to go at the pace so far."""
        if not self.measured:
            return "–"
        return duration((now - self.began) / self.measured * (self.total - self.done))


@contextmanager
def showing(stream: TextIO | None = None) -> Iterator[Report]:
    """A callback that shows what it is told until the block ends."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield Lines(stream).report
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    board = Board(console)
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def report(progress: Progress) -> None:
            board.take(progress)
            live.update(board.table(), refresh=True)

        yield report


def duration(seconds: float) -> str:
    """`0.4 s`, `8 s`, `3 min`, `1 h 20 min`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def heat(temperature: int | None) -> str:
    """`41.5 °C`, or a dash."""
    return "–" if temperature is None else f"{temperature / 1000:.1f} °C"


def clean(text: str) -> str:
    """One line that cannot steer a terminal: names are people's, and what is not printable is shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Devices:
    """The rows of all devices, kept up with progress."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def take(self, progress: Progress) -> None:
        """Keep up with one record."""
        if isinstance(progress, DeviceReady):
            self.rows[progress.device] = Row(progress.done, progress.total, began=monotonic())
        elif isinstance(progress, Waiting):
            row = self.rows.setdefault(progress.device, Row())
            row.temperature = progress.temperature if progress.temperature is not None else row.temperature
            row.doing = f"waits for {progress.what}"
        elif isinstance(progress, TrialStarted):
            self.rows.setdefault(progress.device, Row()).doing = describe(progress)
        elif isinstance(progress, TrialEnded):
            row = self.rows.setdefault(progress.device, Row())
            row.measured += progress.done - row.done
            row.done, row.total, row.doing = progress.done, progress.total, "ready"
            row.temperature = progress.temperature if progress.temperature is not None else row.temperature
        elif isinstance(progress, DeviceGone):
            self.rows.setdefault(progress.device, Row()).doing = progress.message


def describe(trial: TrialStarted) -> str:
    """What is measured: the values of the axes, without the device; a bare number needs the name of its axis."""
    values = " ".join(
        value if axis in ("model", "quant", "engine", "workload") else f"{axis}={value}"
        for axis, value in trial.labels
        if axis != "device"
    )
    again = f", attempt {trial.attempt + 1}" if trial.attempt else ""
    return f"{values} #{trial.rep + 1}{again}"


class Lines(Devices):
    """Plain lines: one per event that matters later."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._waits: dict[str, str] = {}
        self._trials: dict[str, str] = {}

    def report(self, progress: Progress) -> None:
        """Print what happened."""
        self.take(progress)
        line = self._line(progress)
        if line:
            print(clean(line), file=self.stream, flush=True)

    def _line(self, progress: Progress) -> str:
        match progress:
            case Waiting(device, what, temperature):
                # Once per wait, not once per second.
                kind = what.split(" ")[0] if temperature is None else "temperature"
                if self._waits.get(device) == kind:
                    return ""
                self._waits[device] = kind
                return f"{device}: waits for {what}"
            case TrialStarted():
                self._waits.pop(progress.device, None)
                self._trials[progress.device] = describe(progress)
                return ""
            case TrialEnded():
                row = self.rows[progress.device]
                what = self._trials.pop(progress.device, progress.cell)
                left = f", {row.eta(monotonic())} to go" if row.done < row.total else ""
                return f"{progress.device}: {row.done}/{row.total} {what}: {verdict(progress)}{left}"
            case _:
                return sentence(progress)


class Board(Devices):
    """The live table; what must stay readable is printed above it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def take(self, progress: Progress) -> None:
        """Keep up, and print what must stay."""
        trial = (
            self.rows[progress.device].doing
            if isinstance(progress, TrialEnded) and progress.device in self.rows
            else ""
        )
        super().take(progress)
        if isinstance(progress, TrialEnded):
            if progress.status != "ok":
                self._print(f"{progress.device}: {trial or progress.cell}: {verdict(progress)}")
        elif text := sentence(progress):
            self._print(text)

    def _print(self, text: str) -> None:
        # Names are people's: no markup, no emoji codes.
        self.console.print(clean(text), markup=False, emoji=False, highlight=False)

    def table(self) -> Table:
        """One row per device."""
        from rich.table import Table
        from rich.text import Text

        # Only the last column gives way on a narrow terminal.
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
        table.add_column("device", no_wrap=True)
        for title in ("done", "to go", "temperature"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("now", no_wrap=True, overflow="ellipsis", ratio=1)
        now = monotonic()
        for name, row in self.rows.items():
            cells = (name, f"{row.done}/{row.total}", row.eta(now), heat(row.temperature), row.doing)
            table.add_row(*(Text(clean(cell)) for cell in cells))
        return table


def verdict(trial: TrialEnded) -> str:
    """How a launch ended."""
    if trial.status == "ok":
        return f"ok ({duration(trial.wall_ns / 1e9)})"
    why = f"{trial.status} ({trial.reason})" if trial.reason else trial.status
    detail = f": {trial.detail}" if trial.detail else ""
    return why + detail + ("" if trial.final else "; another attempt follows")


def sentence(progress: Progress) -> str:
    """The line for what happens once; empty for the rest."""
    match progress:
        case Opened(run_id, folder, resumed, done, total):
            return f"{'goes on with' if resumed else 'new run'} {run_id} in {folder}: {done} of {total} trials done"
        case DeviceReady(device, about, done, total):
            return (
                f"{device}: {about}, {total - done} trials to do" if about else f"{device}: {total - done} trials to do"
            )
        case DeviceGone(device, _, message):
            return f"{device}: cannot be used: {message}"
        case Preparing(what):
            return f"finding the weights of {what}"
        case Notice(level, message):
            return message if level == "info" else f"{level}: {message}"
        case Closed(run_id, status, counts):
            return f"{run_id} is {status}: " + (", ".join(f"{n} {name}" for name, n in counts) or "no trials")
        case _:
            return ""
