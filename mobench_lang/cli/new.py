"""`mobench new`: a spec to start from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from mobench_lang.cli.failing import Failure

HEAD = """mobench 1

use "std/models" {{ tiny }}
use "std/workloads" {{ short_chat }}

{devices}# {count} cells, each measured 5 times in fresh processes, in random order.
bench {name} {{
  matrix {{
    model    in [tiny]
    quant    in [F16, Q8_0, Q4_K_M]
    engine   in [llama_cpp]
    device   in [{names}]
    workload in [short_chat]
  }}

  run {{ warmup = 1, repeat = 5 }}

  measure load_time, ttft, prefill_rate, decode_rate, itl, peak_memory

  expect median(decode_rate) > 5tok/s  per quant
  warn   cv(decode_rate) < 10%         per quant
}}
"""


@click.command("new")
@click.argument("name", default="first")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; NAME.bench without it.")
@click.option("--from-devices", is_flag=True, help="Fill in the devices that are attached now.")
@click.option("--force", is_flag=True, help="Overwrite a file.")
def command(name: str, output: Path | None, from_devices: bool, force: bool) -> None:
    """Write NAME.bench, a spec that runs as it is: the bundled model in three formats on this machine."""
    from mobench_lang.cli.files import replace_text

    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Failure(f"{name!r} is not a name: letters, digits and _, not beginning with a digit")
    path = output or Path(f"{name}.bench")
    if path.exists() and not force:
        raise Failure(f"{path} exists; --force overwrites it")
    replace_text(path, _text(name, _attached() if from_devices else []))
    click.echo(f"{path} written; next: mobench compile {path} && mobench exec")


def _attached() -> list[dict[str, Any]]:
    from mobench_lang.packs import PluginError, manifests
    from mobench_lang.plugins import target

    try:
        found = [d for n, m in manifests("target").items() if m.executes for d in target(n).discover()]
    except PluginError as error:
        raise Failure(str(error)) from error
    predeclared = {m.predeclared for m in manifests("target").values()}
    return [d for d in found if d["name"] not in predeclared]


def _text(name: str, attached: list[dict[str, Any]]) -> str:
    from mobench_lang.check.values import quote

    blocks = []
    names = ["local"]
    for device in attached:
        known = "".join(f"  {k} = {quote(str(v))}\n" for k, v in device.get("address", {}).items())
        blocks.append(f"device {device['name']} {{\n  target = {device['target']}\n{known}}}\n\n")
        names.append(str(device["name"]))
    count = 3 * len(names)
    return HEAD.format(devices="".join(blocks), name=name, names=", ".join(names), count=count)
