"""`mobench devices`: what is attached."""

from __future__ import annotations

from typing import Any

import click


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(as_json: bool) -> None:
    """List the devices that the installed targets see, with what each of them is."""
    import json

    from mobench_lang.cli.failing import Failure
    from mobench_lang.plugins import PluginError, manifests, target

    found: list[dict[str, Any]] = []
    missing: list[tuple[str, str]] = []
    try:
        for name, manifest in manifests("target").items():
            if manifest.executes:
                found += target(name).discover()
            else:
                missing.append((name, manifest.why_not))
    except PluginError as error:
        raise Failure(str(error)) from error
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for device in found:
        facts = device.get("facts", {})
        about = ", ".join(str(facts[k]) for k in ("cpu", "os", "kernel") if facts.get(k))
        click.echo(f"{device['name']}  {device['target']}  {device['identity']}  {device.get('state', '')}  {about}")
    for name, why in missing:
        click.echo(f"{name}: {why}", err=True)
