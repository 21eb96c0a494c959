"""`mobench plan`: what would be measured, what is skipped and why, and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli import specs
from mobench_lang.cli.failing import Failure

if TYPE_CHECKING:
    from mobench_lang.battery import Battery
    from mobench_lang.plan.estimate import Estimate
    from mobench_lang.plan.model import Plan


@click.command("plan")
@click.argument("what", required=False, metavar="[SPEC|BUILD]")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(what: str | None, as_json: bool) -> None:
    """Show the cells of a spec or a build: how many, which are skipped and why, how long it takes.

    The least time is what the spec declares (pauses, durations, cool-downs), the most what its time-outs allow without
    retries. Off the charger, the same bounds are given as shares of a full battery, from the `battery`, `idle_draw` and
    `load_draw` of the device.
    """
    import json
    import tempfile

    from mobench_lang.execute.errors import BuildError
    from mobench_lang.execute.load import load
    from mobench_lang.plan.compile import compile_bench
    from mobench_lang.plan.estimate import estimate

    with tempfile.TemporaryDirectory(prefix="mobench-plan-") as scratch:
        folder = Path(what) if what is not None and specs.is_build(Path(what)) else Path(scratch) / "build"
        if folder.parent == Path(scratch):
            (spec,) = specs.usable((what,) if what else ())
            assert spec.checked.bench is not None  # noqa: S101 - usable() has seen to it
            compile_bench(spec.checked.bench, folder, spec.checked.folders, spec.checked.lock)
        try:
            build = load(folder)
        except BuildError as error:
            raise Failure(str(error)) from error
        try:
            shares = estimate(build.plan, (build.vector(i) for i in range(len(build))))
        finally:
            build.close()
    if as_json:
        click.echo(json.dumps(_as_json(build.plan, shares), ensure_ascii=False, indent=1))
    else:
        _print(build.plan, shares)


def _as_json(plan: Plan, shares: tuple[Estimate, ...]) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "bench": plan.bench,
        "digest": plan.digest,
        "cells": plan.cells,
        "skipped": [s.model_dump() for s in plan.skipped],
        "launches": sum(s.launches for s in shares),
        "axes": {a.name: list(a.labels) for a in plan.axes},
        "metrics": [m.name for m in plan.metrics],
        "protocol": plan.protocol.model_dump(mode="json"),
        "devices": [asdict(s) for s in shares],
        "artifacts": [a.model_dump() for a in plan.artifacts],
    }


def _print(plan: Plan, shares: tuple[Estimate, ...]) -> None:
    p = plan.protocol
    click.echo(
        f"{plan.bench}: {plan.cells:,} {'cell' if plan.cells == 1 else 'cells'} × "
        f"{p.repeat} {'repetition' if p.repeat == 1 else 'repetitions'}, "
        f"{plan.digest[:19]}"
    )
    for axis in plan.axes:
        shown = ", ".join(axis.labels[:6]) + (f", … ({len(axis.labels)})" if len(axis.labels) > 6 else "")
        click.echo(f"  {axis.name:<10} {shown}")
    for skip in plan.skipped:
        why = f"  ({skip.because})" if skip.because else ""
        click.echo(f"  skipped    {skip.count:,} where {skip.clause}{why}")
    click.echo(f"  measured   {', '.join(m.name + ('?' if m.optional else '') for m in plan.metrics)}")
    for share in shares:
        size = (
            "size not known before the weights are there"
            if share.bytes is None
            else f"{share.bytes / 1e6:,.1f} MB of weights"
        )
        click.echo(
            f"  on {share.device}: {share.launches:,} launches, at least {_time(share.least_ns)} of declared pauses, "
            f"at most {_time(share.most_ns)}; {size}"
        )
        if share.battery is not None:
            click.echo(f"     off its charger: {_battery(share.battery)}")


def _battery(battery: Battery) -> str:
    """The bounds in words; what is not known, and what to declare."""
    least, most = battery.least, battery.most
    known = [f"{word} {share:.0%}" for word, share in (("at least", least), ("at most", most)) if share is not None]
    parts = [f"{', '.join(known)} of a full battery ({(battery.capacity_j or 0) / 3600:.1f} Wh)"] if known else []
    if known and battery.floor:
        parts[0] += f", of which {1 - battery.floor:.0%} lie above the floor"
    if battery.is_too_small:
        parts.append("it has to be charged in between")
    if battery.missing:
        bounds = "more" if known else "what it takes of its battery"
        missing = ", ".join(f"`{m}`" for m in battery.missing)
        parts.append(f"{bounds} is not known without {missing} in its declaration")
    return "; ".join(parts)


def _time(ns: int) -> str:
    seconds = ns / 1e9
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
