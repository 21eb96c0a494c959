"""Progress as people see it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mobench_lang.cli import progress as face
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

LABELS = (("model", "tiny"), ("engine", "llama_cpp"), ("device", "phone"), ("threads", "4"), ("workload", "chat"))


def started(attempt: int = 0) -> TrialStarted:
    return TrialStarted("phone", "abc", 1, attempt, LABELS)


def ended(done: int, status: str = "ok", reason: str = "", detail: str = "", final: bool = True) -> TrialEnded:
    return TrialEnded("phone", "abc", 1, 0, status, reason, detail, final, done, 4, 2_000_000_000, 41_500)


STORY: tuple[Progress, ...] = (
    Preparing("tiny Q8_0"),
    Opened("hello-1", Path("runs/hello-1"), True, 1, 4),
    Notice("warning", "the device was restored"),
    DeviceReady("phone", "Tensor G3", 1, 4),
    Waiting("phone", "45.0 °C, starts below 40 °C", 45_000),
    Waiting("phone", "44.0 °C, starts below 40 °C", 44_000),
    started(),
    ended(1, "failed", "crashed", "SIGSEGV", final=False),
    started(1),
    ended(2),
    started(),
    ended(3, "invalid", "wrong_threads", "asked for threads 4, used 2"),
    DeviceGone("phone", "lost", "the cable was pulled"),
    Closed("hello-1", "partial", (("invalid", 1), ("ok", 2))),
)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 30))
    monkeypatch.setattr(face, "monotonic", lambda: float(next(clock)))


def test_plain_lines() -> None:
    out = io.StringIO()
    with face.showing(out) as report:
        for item in STORY:
            report(item)
    assert out.getvalue().splitlines() == [
        "finding the weights of tiny Q8_0",
        "goes on with hello-1 in runs/hello-1: 1 of 4 trials done",
        "warning: the device was restored",
        "phone: Tensor G3, 3 trials to do",
        "phone: waits for 45.0 °C, starts below 40 °C",
        "phone: 1/4 tiny llama_cpp threads=4 chat #2: failed (crashed): SIGSEGV; another attempt follows, – to go",
        "phone: 2/4 tiny llama_cpp threads=4 chat #2, attempt 2: ok (2 s), 2 min to go",
        "phone: 3/4 tiny llama_cpp threads=4 chat #2: invalid (wrong_threads): asked for threads 4, used 2, 45 s to go",
        "phone: cannot be used: the cable was pulled",
        "hello-1 is partial: 1 invalid, 2 ok",
    ]


def test_the_live_table() -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True, color_system=None)
    board = face.Board(console)
    for item in STORY[:-4]:
        board.take(item)
    board.take(started())
    console.print(board.table())
    text = out.getvalue()
    *_, head, row = text.splitlines()
    assert "failed (crashed): SIGSEGV; another attempt follows" in " ".join(text.split())
    # On a narrow terminal only the last column gives way.
    assert head.split() == ["device", "done", "to", "go", "temperature", "now"]
    assert row.split()[:5] == ["phone", "2/4", "60", "s", "41.5"]
    assert row.rstrip().endswith("…")


def test_names_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    with face.showing(out) as report:
        report(DeviceReady("\x1b[2J[red]a\nb", "", 0, 1))
    assert out.getvalue() == "\\x1b[2J[red]a\\nb: 1 trials to do\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (8, "8 s"), (150, "2 min"), (4800, "80 min"), (7200, "2 h 00 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert face.duration(seconds) == text
