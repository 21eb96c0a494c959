"""`mobench doctor`: what stands in the way of trustworthy numbers, and how to mend it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mobench_lang.plugins import Finding

MARKS = {"ok": "✓", "warn": "!", "bad": "✗"}


@click.command("doctor")
@click.argument("target", required=False, metavar="[TARGET]")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(target: str | None, as_json: bool) -> None:
    """Look at engines, targets and this machine, and say what to mend. Exit status 3 if something cannot work."""
    import json
    from dataclasses import asdict

    from mobench_lang import plugins
    from mobench_lang.cli.failing import Failure
    from mobench_lang.packs import PluginError, manifests

    try:
        known = manifests("target")
        if target is not None and target not in known:
            raise Failure(f"there is no target {target!r}; installed: {', '.join(known)}")
        found = {"mobench": _own()}
        for name in [target] if target else known:
            found[name] = _target(name)
        for name in () if target else manifests("meter"):
            found[name] = _findings(plugins.meter(name))
    except PluginError as error:
        raise Failure(str(error)) from error
    if as_json:
        click.echo(json.dumps({k: [asdict(f) for f in v] for k, v in found.items()}, ensure_ascii=False, indent=1))
    else:
        _print(found)
    if any(f.level == "bad" for group in found.values() for f in group):
        raise SystemExit(3)


def _own() -> list[Finding]:
    from dataclasses import replace

    from mobench_lang import __version__, packs, plugins
    from mobench_lang.digests import user_cache
    from mobench_lang.plugins import Finding

    python = f"{__version__}, Python {sys.version.split()[0]}"
    found = [Finding("version", "ok", python), Finding("cache", "ok", str(user_cache()))]
    for name, manifest in packs.manifests("engine").items():
        if not manifest.executes:
            continue
        try:
            engine = plugins.engine(name)
            if isinstance(engine, plugins.Diagnosed):
                found += [replace(f, about=f"engine {name}, {f.about}") for f in engine.diagnose(Path.cwd())]
            else:
                found.append(Finding(f"engine {name}", "ok", engine.build("host")))
        except (plugins.PlatformError, packs.PluginError) as error:
            found.append(Finding(f"engine {name}", "bad", "cannot run on this machine", str(error)))
    return found


def _target(name: str) -> list[Finding]:
    from mobench_lang import packs, plugins
    from mobench_lang.plugins import Finding

    manifest = packs.manifests("target")[name]
    if not manifest.executes:
        return [Finding("target", "warn", "cannot be executed", manifest.why_not)]
    return _findings(plugins.target(name))


def _findings(plugin: object) -> list[Finding]:
    """What a target or a meter finds out itself."""
    from mobench_lang.plugins import Diagnosed, Finding

    if not isinstance(plugin, Diagnosed):
        return [Finding("pack", "ok", "installed; it has no check of its own")]
    return plugin.diagnose(Path.cwd())


def _print(found: dict[str, list[Finding]]) -> None:
    for group, findings in found.items():
        click.echo(group)
        for finding in findings:
            help_ = f"  → {finding.help}" if finding.help and finding.level != "ok" else ""
            click.echo(f"  {MARKS[finding.level]} {finding.about:<16} {finding.found}{help_}")
