"""`mobench`: the verbs, each loaded when it is called, so that `--help` costs nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from mobench_lang import __version__

INTERRUPTED = 130

# verb -> (module, what it does); the order is that of a first day with mobench
VERBS = {
    "new": ("new", "Write a spec to start from."),
    "quick": ("quick", "Measure a GGUF file without a spec."),
    "check": ("check", "Say everything that is wrong with a spec."),
    "fmt": ("fmt", "Put specs into the one style."),
    "lock": ("lock", "Write down which files the sources of specs are."),
    "explain": ("explain", "Explain an error code, or where a value of a plan comes from."),
    "plan": ("plan", "Show what would be measured, what is skipped and why."),
    "diff": ("diff", "Show what differs between two specs or builds."),
    "compile": ("compile", "Compile a spec into a build folder."),
    "exec": ("exec", "Run a build, or resume it."),
    "stage": ("stage", "Make a device's folder whole, to run it by hand."),
    "status": ("status", "Show where runs stand."),
    "load": ("load", "Make the database anew from run folders."),
    "sql": ("sql", "Ask the database."),
    "export": ("export", "Write the tables as Parquet."),
    "runner": ("runner", "Build the measuring runner for devices."),
    "devices": ("devices", "List the devices that are attached."),
    "doctor": ("doctor", "Say what stands in the way of trustworthy numbers here."),
}


class Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """The verbs, in the order of `VERBS`."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """The command of a verb."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"mobench_lang.cli.{VERBS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. An interrupt that it does not answer itself ends with 130: click's own 1 means a failed
        expectation here.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The list of verbs, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument; an unknown verb is answered with the nearest ones."""
        from mobench_lang.diagnostics import suggest

        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in VERBS:
            close = suggest(name, VERBS)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"There is no verb {name!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="mobench", message="%(prog)s %(version)s")
def main() -> Any:
    """Benchmarks of language models on devices, from one spec to SQL.

    \b
    mobench compile && mobench exec      compile the spec of this folder, run it, judge it
    mobench sql "from results"           ask
    """


if __name__ == "__main__":
    main()
