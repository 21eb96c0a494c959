"""What `check` says of the procedure and the plan (08xx, 09xx)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobench_lang.diagnostics import Diagnostic, Label

if TYPE_CHECKING:
    from mobench_lang.source import Span


def timeout_too_short(span: Span, timeout: str, need: str, workload: str) -> Diagnostic:
    """E0801."""
    return Diagnostic(
        "E0801",
        f"the time-out of {timeout} is shorter than the pauses and durations of `{workload}` ({need})",
        span,
        "cannot be met",
        helps=(f"raise it well above {need}: a launch also loads the model and makes its warm-up passes",),
    )


def isolation_needs_sequential(span: Span) -> Diagnostic:
    """E0802."""
    return Diagnostic(
        "E0802",
        "`isolation = cell` needs `order = sequential`",
        span,
        helps=("one process per cell runs its repetitions one after the other",),
    )


def gate_order(span: Span) -> Diagnostic:
    """E0803."""
    return Diagnostic(
        "E0803", "`start_below` is not below `abort_above`", span, helps=("a launch would start too hot",)
    )


def no_gate_sensor(span: Span, device: str, target: str) -> Diagnostic:
    """E0804."""
    return Diagnostic(
        "E0804",
        f"target `{target}` of `{device}` has no temperature to wait for",
        span,
        "no sensor",
        helps=("remove it, or pause between launches with `cooldown`",),
    )


def battery_too_small(charger: Span, device: str, least: float, floor: float, declared: Span | None) -> Diagnostic:
    """W0901."""
    room = f"{1 - floor:.0%} of it lie above the floor of {floor:.0%}" if floor else "there is no more than one"
    return Diagnostic(
        "W0901",
        f"`{device}` needs at least {least:.0%} of a full battery off its charger; {room}",
        charger,
        "it has to be charged in between",
        labels=(Label(declared, "the battery"),) if declared is not None else (),
        helps=(
            "measure fewer cells at a time (`mobench exec --only`), shorten durations and cool-downs, or leave it on "
            "its charger",
        ),
        facts=(("least", round(least, 4)), ("floor", floor)),
    )
