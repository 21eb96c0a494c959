"""`mobench diff`: what differs between two specs or builds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli import specs
from mobench_lang.cli.failing import Failure

if TYPE_CHECKING:
    from mobench_lang.execute.load import Build
    from mobench_lang.plan.diff import Difference


@click.command("diff")
@click.argument("before", metavar="SPEC|BUILD")
@click.argument("after", metavar="SPEC|BUILD")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(before: str, after: str, as_json: bool) -> None:
    """Show what two specs or builds would measure differently: cells, axes, protocol, claims; not formatting."""
    import json
    from dataclasses import asdict

    from mobench_lang.plan.diff import difference

    with tempfile.TemporaryDirectory(prefix="mobench-diff-") as scratch:
        one, two = _build(before, Path(scratch) / "before"), _build(after, Path(scratch) / "after")
        try:
            found = difference(one.plan, one.ids, two.plan, two.ids)
        finally:
            one.close()
            two.close()
    if as_json:
        click.echo(json.dumps({"same": found.is_empty, **asdict(found)}, ensure_ascii=False, indent=1))
    else:
        _print(found)


def _build(what: str, scratch: Path) -> Build:
    from mobench_lang.execute.errors import BuildError
    from mobench_lang.execute.load import load
    from mobench_lang.plan.compile import compile_bench

    folder = Path(what)
    if not specs.is_build(folder):
        (spec,) = specs.usable((what,))
        assert spec.checked.bench is not None  # noqa: S101 - usable() has seen to it
        compile_bench(spec.checked.bench, scratch, spec.checked.folders, spec.checked.lock)
        folder = scratch
    try:
        return load(folder)
    except BuildError as error:
        raise Failure(str(error)) from error


def _print(found: Difference) -> None:
    if found.is_empty:
        click.echo("no difference")
        return
    if found.cells_removed or found.cells_added:
        click.echo(f"cells: {len(found.cells_removed)} go, {len(found.cells_added)} come, {found.cells_kept} stay")
    for name in dict.fromkeys([*found.removed, *found.added]):
        for value in found.removed.get(name, ()):
            click.echo(f"- {name}: {value}")
        for value in found.added.get(name, ()):
            click.echo(f"+ {name}: {value}")
    for name, (was, now) in found.changed.items():
        click.echo(f"~ {name}: {was} → {now}")
