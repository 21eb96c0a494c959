"""`mobench stage`: a device's folder, made whole for a person who runs it by hand."""

from __future__ import annotations

from pathlib import Path

import click

from mobench_lang.cli.failing import Failure, StoreFailure


@click.command("stage")
@click.argument("build", type=click.Path(path_type=Path), default=Path("build"), required=False)
@click.option("--device", metavar="NAME", help="Which device of the plan; needed if it has several with scripts.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder to make.  [default: staged/NAME]")
@click.option("--platform", help="For which processor the programs are: linux-arm64, android-arm64+dotprod, …")
def command(build: Path, device: str | None, output: Path | None, platform: str | None) -> None:
    """Make a folder that can be copied to a device and run there by hand, without mobench.

    It holds the build's scripts, the weights, the measuring runner and complete jobs; its README.md says what to do.
    """
    from mobench_lang.digests import user_cache
    from mobench_lang.execute.errors import ExecError
    from mobench_lang.execute.load import axis_index, load
    from mobench_lang.execute.stage import stage
    from mobench_lang.names import slug

    try:
        loaded = load(build)
        try:
            if device is None:
                names = loaded.plan.axes[axis_index(loaded.plan, "device")].labels
                scripted = [name for name in names if loaded.scripts(name).is_dir()]
                if len(scripted) != 1:
                    there = f"it has {', '.join(scripted)}" if scripted else "none of its devices has scripts"
                    raise Failure(f"say which device with --device; {there}")
                (device,) = scripted
            out = output or Path("staged") / slug(device)
            found = stage(
                loaded, device, out, cache=user_cache(), platform=platform,
                telling=lambda what: click.echo(f"preparing {what}", err=True),
            )  # fmt: skip
        finally:
            loaded.close()
    except ExecError as error:
        raise (StoreFailure if error.exit_status == 4 else Failure)(str(error)) from error
    click.echo(f"{out}: {device}, {found}; {out / 'README.md'} says how to run it")
