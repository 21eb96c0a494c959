"""`mobench lock`: sources of specs → `mobench.lock`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli import specs
from mobench_lang.cli.failing import Failure

if TYPE_CHECKING:
    from mobench_lang.check import Checked
    from mobench_lang.execute.pin import Entry
    from mobench_lang.lockfile import Lock
    from mobench_lang.plan.needs import Need

MARKS = {"added": "+", "kept": "=", "updated": "~", "changed": "!", "missing": "!", "removed": "-", "unlockable": "?"}
WORDS = {
    "changed": "is not the locked file",
    "missing": "is not locked",
    "removed": "is used no more",
    "unlockable": "cannot be locked",
}
OWN = frozenset({"W0608", "W0609", "W0613"})  # what this verb says itself, or mends


@dataclass
class Project:
    """The specs of one project, and its lock."""

    root: Path
    paths: list[Path]
    lock: Lock
    quiet: bool = False

    @property
    def shown(self) -> str:
        """How the lock file is called from here."""
        from mobench_lang.lockfile import LOCK_FILE

        return os.path.relpath(self.root / LOCK_FILE)

    def checked(self, lock: Lock) -> list[Checked]:
        """The specs under a lock; ends the command with status 2 where one has an error."""
        good, failed = [], False
        for path in self.paths:
            checked, found = specs.check(path, need_bench=True, lock=lock)
            specs.say(tuple(d for d in found if d.is_error or (not self.quiet and d.code not in OWN)))
            if checked is None or checked.bench is None:
                failed = True
            else:
                good.append(checked)
        self.quiet = True  # what was warned of once is not said again under another lock
        if failed:
            raise SystemExit(2)
        return good

    def needs(self, lock: Lock) -> tuple[Need, ...]:
        """What the specs need under a lock."""
        from mobench_lang.plan.needs import needs

        return tuple(n for c in self.checked(lock) if c.bench is not None for n in needs(c.bench, c.folders))


@click.command("lock")
@click.argument("paths", nargs=-1, metavar="[SPEC]…")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit status 2 if something is not locked.")
@click.option("--update", is_flag=True, help="Look everything up anew, also what is locked.")
@click.option("--prune", is_flag=True, help="Remove the entries that none of these specs uses.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each source as JSON.")
def command(paths: tuple[str, ...], only_check: bool, update: bool, prune: bool, as_json: bool) -> None:
    """Write down which files the sources of specs are: `mobench.lock`, at the root of the project.

    A hub source gets its commit, file name, size and sha256, a local file its size and sha256. What is locked stays as
    it is until `--update`. `check`, `plan` and `compile` read the lock and never the network. Without SPEC: the one
    file of this folder that holds a bench.
    """
    import json

    if only_check and (update or prune):
        raise click.UsageError("--check writes nothing: it goes with neither --update nor --prune")
    done = []
    work = [(project, *_settled(project, only_check, update, prune)) for project in _projects(paths)]
    for project, lock, entries in work:  # written when everything is known: a fault leaves all as it was
        written = not only_check and _write(project, lock)
        done.append((project, entries, written))
    if as_json:
        rows = [_as_json(*row) for row in done]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        for row in done:
            _print(*row, only_check=only_check)
    if only_check and any(e.state in ("missing", "changed") for _, entries, _ in done for e in entries):
        raise SystemExit(2)


def _projects(paths: tuple[str, ...]) -> list[Project]:
    """The projects of the specs meant, in the order in which they are named."""
    from mobench_lang.check.load import project_root
    from mobench_lang.lockfile import LOCK_FILE, LockError, read

    found: dict[Path, Project] = {}
    for path in specs.find(paths):
        if str(path) == specs.STDIN:
            raise click.UsageError("lock needs files")
        root = project_root(path.parent)
        if root not in found:
            try:
                found[root] = Project(root, [], read(root))
            except LockError as error:
                where = os.path.relpath(root / LOCK_FILE)
                raise Failure(f"{where} cannot be used: {error.why}; {error.help}") from error
        found[root].paths.append(path)
    return list(found.values())


def _settled(project: Project, only_check: bool, update: bool, prune: bool) -> tuple[Lock, list[Entry]]:
    """The lock as it is to be, and what became of each source."""
    from mobench_lang.digests import user_cache
    from mobench_lang.execute import pin
    from mobench_lang.plan.needs import mentioned

    try:
        if only_check:
            return project.lock, pin.audit(project.needs(project.lock), project.lock, user_cache())
        lock, entries = pin.resolve(
            project.needs, project.lock, user_cache(), update=update, tell=lambda what: click.echo(what, err=True)
        )
    except pin.PinError as error:
        raise Failure(f"{error}\n{project.shown} is as it was") from error
    if prune:
        used = [mentioned(c.bench, c.folders, lock) for c in project.checked(lock) if c.bench is not None]
        lock, gone = pin.prune(lock, {h for hub, _ in used for h in hub}, {f for _, files in used for f in files})
        entries += gone
    return lock, entries


def _write(project: Project, lock: Lock) -> bool:
    """Write the lock if it differs; True if it was written. Raises Failure."""
    from mobench_lang.cli.files import replace_text
    from mobench_lang.lockfile import LOCK_FILE, LockError, parse, render

    text = render(lock)
    try:
        parse(text)
    except LockError as error:
        raise Failure(f"this cannot be locked: {error.why}; {project.shown} is as it was") from error
    path = project.root / LOCK_FILE
    known = path.read_text("utf-8") if path.exists() else None
    if text == known or (known is None and not lock.hub and not lock.files):
        return False
    replace_text(path, text)
    return True


def _as_json(project: Project, entries: list[Entry], written: bool) -> dict[str, object]:
    from dataclasses import asdict

    return {"lock": project.shown, "written": written, "entries": [asdict(e) for e in entries]}


def _print(project: Project, entries: list[Entry], written: bool, *, only_check: bool) -> None:
    for entry in entries:
        detail = ", ".join(w for w in (WORDS.get(entry.state), entry.detail) if w)
        click.echo(f"{MARKS[entry.state]} {entry.source}{': ' if detail else ''}{detail}")
    faults = sum(e.state in ("missing", "changed") for e in entries)
    if only_check:
        state = f"{faults} of {len(entries)} are not as locked; `mobench lock` adds, `--update` looks up anew"
        state = state if faults else "everything is locked"
    else:
        state = "written" if written else "as it was"
    click.echo(f"{project.shown}: {state}")
