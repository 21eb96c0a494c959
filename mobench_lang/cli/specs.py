"""What the verbs on specs share: find them, check them, say what was found.

In: what was typed. Out: checked specs. Diagnostics go to standard error, or where the format wants them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli.failing import Failure

if TYPE_CHECKING:
    from mobench_lang.check import Checked
    from mobench_lang.diagnostics import Diagnostics
    from mobench_lang.lockfile import Lock

FORMATS = ("text", "json", "sarif", "github")
STRICT = {"W0608": "E0608", "W0609": "E0609", "W0613": "E0613"}
STDIN = "-"


@dataclass(frozen=True)
class Spec:
    """A spec that was read and checked."""

    path: Path
    checked: Checked


def find(paths: tuple[str, ...]) -> list[Path]:
    """The spec files meant; without arguments the one file of this folder that holds a bench. Raises Failure."""
    if paths:
        return [Path(p) for p in paths]
    candidates = sorted(Path().glob("*.bench"))
    holding = [p for p in candidates if _has_bench(p)]
    if len(holding) == 1:
        return holding
    if not holding:
        what = "no .bench file" if not candidates else "no .bench file with a bench in it"
        raise Failure(f"there is {what} in this folder; name a spec, or write one with `mobench new`")
    raise Failure(f"this folder holds several benches ({', '.join(p.name for p in holding)}); name one")


def _has_bench(path: Path) -> bool:
    from mobench_lang.syntax import ast, parse, read

    source = read(path)
    if isinstance(source, tuple):
        return False
    return any(isinstance(i, ast.Block) and i.kind.text == "bench" for i in parse(source)[0].items)


def check(
    path: Path, *, need_bench: bool, locked: bool = False, lock: Lock | None = None
) -> tuple[Checked | None, Diagnostics]:
    """One spec, checked; `locked` turns what may change into errors, `lock` stands for the lock file."""
    from mobench_lang.check import check_source
    from mobench_lang.packs import PluginError
    from mobench_lang.source import Source
    from mobench_lang.syntax import decode, read

    source: Source | Diagnostics
    source = decode(sys.stdin.buffer.read(), "<stdin>") if str(path) == STDIN else read(path)
    if isinstance(source, tuple):
        return None, source
    try:
        checked = check_source(source, need_bench=need_bench, lock=lock)
    except PluginError as error:
        raise Failure(str(error)) from error
    return checked, _locked(checked.diagnostics) if locked else checked.diagnostics


def _locked(found: Diagnostics) -> Diagnostics:
    from dataclasses import replace

    return tuple(replace(d, code=STRICT.get(d.code, d.code)) for d in found)


def say(found: Diagnostics, form: str = "text", *, to_stdout: bool = False) -> None:
    """Print diagnostics in a format."""
    if not found and form == "text":
        return
    from mobench_lang.report import render

    color = form == "text" and (sys.stdout if to_stdout else sys.stderr).isatty() and not os.environ.get("NO_COLOR")
    text = render(found, form, color=color)
    if text:
        click.echo(text, nl=not text.endswith("\n"), err=not to_stdout, color=color or None)


def usable(paths: tuple[str, ...], *, locked: bool = False) -> list[Spec]:
    """The specs meant, checked and without errors; ends the command with status 2 otherwise."""
    specs: list[Spec] = []
    failed = False
    for path in find(paths):
        checked, found = check(path, need_bench=True, locked=locked)
        say(found)
        if checked is None or checked.bench is None or any(d.is_error for d in found):
            failed = True
        else:
            specs.append(Spec(path, checked))
    if failed:
        raise SystemExit(2)
    return specs


def is_build(path: Path) -> bool:
    """True for a build folder."""
    return (path / "plan.json").is_file()
