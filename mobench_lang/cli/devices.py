"""`mobench devices`: what is attached."""

from __future__ import annotations

from typing import Any

import click


@click.command("devices")
@click.option("--profiles", is_flag=True, help="List the devices that `exec --simulate NAME=PROFILE` can put in place.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(profiles: bool, as_json: bool) -> None:
    """List the devices that the installed targets see, with what each of them is."""
    import json

    from mobench_lang.cli.failing import Failure
    from mobench_lang.packs import PluginError, manifests
    from mobench_lang.plugins import Simulator, target

    found: list[dict[str, Any]] = []
    missing: list[tuple[str, str]] = []
    try:
        for name, manifest in manifests("target").items():
            if manifest.executes:
                pack = target(name)
                if not profiles:
                    found += pack.discover()
                elif isinstance(pack, Simulator):
                    found += pack.profiles()
            else:
                missing.append((name, manifest.why_not))
    except PluginError as error:
        raise Failure(str(error)) from error
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for profile in found if profiles else ():
        click.echo(f"{profile['name']}  {profile['target']}  {profile['summary']}")
    for device in () if profiles else found:
        facts = device.get("facts", {})
        told = [facts.get(key) for key in ("cpu", "os", "kernel")] + [device.get("where")]
        about = ", ".join(str(text) for text in told if text)
        click.echo(f"{device['name']}  {device['target']}  {device['identity']}  {device.get('state', '')}  {about}")
    for name, why in missing:
        click.echo(f"{name}: {why}", err=True)
