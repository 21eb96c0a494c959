"""`mobench fmt`: specs in the one style."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mobench_lang.cli import specs
from mobench_lang.cli.failing import Failure


@click.command("fmt")
@click.argument("paths", nargs=-1, metavar="[SPEC|FOLDER]…")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit status 1 if something would change.")
@click.option("--diff", "only_diff", is_flag=True, help="Change nothing; print what would change.")
def command(paths: tuple[str, ...], only_check: bool, only_diff: bool) -> None:
    """Put specs into the one style. Without SPEC: every .bench file of this folder. `-` goes from input to output."""
    from mobench_lang.cli.files import replace_text

    changed = failed = 0
    for path in _files(paths):
        before, after = _formatted(path)
        if after is None:
            failed += 1
        elif str(path) == specs.STDIN and not (only_check or only_diff):
            click.echo(after, nl=False)
        elif before != after:
            changed += 1
            if only_diff:
                click.echo(_diff(path, before, after), nl=False)
            elif only_check:
                click.echo(f"{path} would be reformatted")
            else:
                replace_text(path, after)
                click.echo(f"{path} reformatted")
    if failed:
        raise SystemExit(2)
    if changed and (only_check or only_diff):
        raise SystemExit(1)


def _files(paths: tuple[str, ...]) -> list[Path]:
    given = [Path(p) for p in paths] or [Path()]
    found = [f for p in given for f in (sorted(p.rglob("*.bench")) if p.is_dir() else [p])]
    if not found:
        raise Failure("there is no .bench file here; name one")
    return found


def _formatted(path: Path) -> tuple[str, str | None]:
    """The text before and after; None after a fault, which is printed."""
    from mobench_lang.syntax import decode, read
    from mobench_lang.syntax.format import format_source

    source = decode(sys.stdin.buffer.read(), "<stdin>") if str(path) == specs.STDIN else read(path)
    if isinstance(source, tuple):
        specs.say(source)
        return "", None
    text, found = format_source(source)
    if any(d.is_error for d in found):
        specs.say(found)
        return source.text, None
    return source.text, text


def _diff(path: Path, before: str, after: str) -> str:
    from difflib import unified_diff

    lines = unified_diff(before.splitlines(True), after.splitlines(True), str(path), f"{path} (formatted)")
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
