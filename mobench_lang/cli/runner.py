"""`mobench runner`: the instruments that devices need, built on this machine and kept in the user's cache."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mobench_lang.plugins import Made, Maker

PLAIN_EVERY_S = 30.0


@click.group("runner")
def command() -> None:
    """Build the measuring runner for devices, or say which ones are built."""


@command.command("build")
@click.argument("platforms", nargs=-1, required=True, metavar="PLATFORM…")
@click.option("--ndk", metavar="PATH", help="Android's NDK, for GPU backends: android-arm64+opencl, +vulkan.")
@click.option("--cuda", is_flag=True, help="With CUDA, for `host` with NVIDIA's nvcc on the PATH.")
@click.option("--on", "address", metavar="ADDRESS", help="On the device at [USER@]HOST[:PORT]; PLATFORM is its target.")
@click.option("--tool", metavar="NAME", help="Another instrument than the runner, by its name in specs: llama_bench.")
@click.option("--engine", metavar="NAME", help="Whose runner, where several engines have one.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(  # noqa: PLR0917 - click names them
    platforms: tuple[str, ...],
    ndk: str | None,
    cuda: bool,
    address: str | None,
    tool: str | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Build the runner, or another tool, for each PLATFORM (`runner list` has them); at once where it is there."""
    from mobench_lang.cli.failing import Failure
    from mobench_lang.plugins import PlatformError

    maker = _maker(engine)
    given = {"ndk": ndk, "cuda": "yes" if cuda else None, "tool": tool}
    options = {name: value for name, value in given.items() if value is not None}
    made = []
    if address is not None:
        if len(platforms) != 1 or options:
            raise Failure("--on builds one runner on one device: mobench runner build TARGET --on ADDRESS, and no more")
        made.append(_built_on(platforms[0], address, maker))
        platforms = ()
        if not as_json:
            click.echo(f"{made[-1].platform}: {made[-1].path} ({(made[-1].size or 0) / 1e6:.1f} MB)")
    for platform in platforms:
        progress = Progress(platform)
        try:
            made.append(maker.make(platform, options, progress))
        except PlatformError as error:
            raise Failure(f"{platform}: {error}") from error
        finally:
            progress.end()
        if not as_json:
            click.echo(f"{made[-1].platform}: {made[-1].path} ({(made[-1].size or 0) / 1e6:.1f} MB)")
    if as_json:
        _print_json(made)


@command.command("list")
@click.option("--tool", metavar="NAME", help="Another instrument than the runner: llama_bench.")
@click.option("--engine", metavar="NAME", help="Of which engine, where several have runners.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def list_(tool: str | None, engine: str | None, as_json: bool) -> None:
    """List the platforms, and what is built for them."""
    made = _instruments(engine, tool)
    if as_json:
        _print_json(made)
        return
    wide = max(len(m.platform) for m in made)
    for m in made:
        size = f", {m.size / 1e6:.1f} MB" if m.size else ""
        click.echo(f"{m.platform:<{wide}}  {m.state}{size}  ({m.about})")


@command.command("path")
@click.argument("platform")
@click.option("--tool", metavar="NAME", help="Another instrument than the runner: llama_bench.")
@click.option("--engine", metavar="NAME", help="Of which engine, where several have runners.")
def path(platform: str, tool: str | None, engine: str | None) -> None:
    """Print where the runner for PLATFORM is. Exit status 2 if it is not built from today's sources."""
    from mobench_lang.cli.failing import Failure

    found = {m.platform: m for m in _instruments(engine, tool)}
    name, option = ("runner", "") if tool is None else (tool, f" --tool {tool}")
    if platform not in found:
        raise Failure(f"there is no {name} for {platform!r}; there is: {', '.join(found)}")
    if found[platform].state != "built":
        state = "is not built" if found[platform].path is None else "was built from older sources"
        raise Failure(f"the {name} for {platform} {state}: mobench runner build {platform}{option}")
    click.echo(found[platform].path)


def _instruments(engine: str | None, tool: str | None) -> list[Made]:
    from mobench_lang.cli.failing import Failure
    from mobench_lang.plugins import PlatformError

    try:
        return _maker(engine).instruments(tool or "")
    except PlatformError as error:
        raise Failure(str(error)) from error


def _maker(name: str | None) -> Maker:
    from mobench_lang.cli.failing import Failure
    from mobench_lang.packs import PluginError, manifests
    from mobench_lang.plugins import Maker, engine

    try:
        known = [n for n, manifest in manifests("engine").items() if manifest.executes]
        if name is not None and name not in known:
            raise Failure(f"there is no engine {name!r}; installed: {', '.join(known)}")
        makers = {n: plugin for n in known if name in (None, n) and isinstance(plugin := engine(n), Maker)}
    except PluginError as error:
        raise Failure(str(error)) from error
    if len(makers) != 1:
        several = f"; say which by --engine: {', '.join(makers)}" if makers else ""
        raise Failure(f"{name or 'no engine'} has no runner to build" if not makers else f"several have one{several}")
    return next(iter(makers.values()))


def _built_on(name: str, address: str, maker: Maker) -> Made:
    """Let a device of a target compile the runner; the runner in the cache."""
    import asyncio
    import tempfile
    from pathlib import Path

    from mobench_lang.cli.failing import Failure
    from mobench_lang.packs import PluginError, manifests
    from mobench_lang.plugins import DeviceError, PlatformError, RemoteMaker, Workshop, target

    try:
        workshop = target(name) if name in manifests("target") else None
    except PluginError as error:
        raise Failure(str(error)) from error
    if not isinstance(workshop, Workshop) or not isinstance(maker, RemoteMaker):
        raise Failure(f"{name}: no device of that name compiles a runner for itself; leave --on out")
    progress = Progress(name)
    try:
        work = maker.work(workshop.builds, progress)
        with tempfile.TemporaryDirectory() as scratch:
            program = Path(scratch) / work.program
            about = asyncio.run(workshop.carry_out(address, work, program, progress))
            return maker.adopt(workshop.builds, work, program, about)
    except (DeviceError, PlatformError) as error:
        raise Failure(f"{name} at {address}: {error}") from error
    finally:
        progress.end()


def _print_json(made: list[Made]) -> None:
    import json
    from dataclasses import asdict

    rows: list[dict[str, Any]] = [{**asdict(m), "path": None if m.path is None else str(m.path)} for m in made]
    click.echo(json.dumps(rows, ensure_ascii=False, indent=1))


class Progress:
    """How far a build is: one line that is written over on a terminal, now and then a line elsewhere; on stderr."""

    def __init__(self, platform: str) -> None:
        self._platform = platform
        self._begun = time.monotonic()
        self._said = 0.0
        self._step = ""
        self._live = sys.stderr.isatty()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Take note of a step."""
        seconds = time.monotonic() - self._begun
        part = f" {done}/{total}" if total else ""
        text = f"{self._platform}: {step}{part}, {seconds:.0f} s"
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif step != self._step or seconds - self._said >= PLAIN_EVERY_S:
            self._said = seconds
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        self._step = step

    def end(self) -> None:
        """Leave the line to what follows."""
        if self._live and self._step:
            sys.stderr.write("\r\x1b[K")
