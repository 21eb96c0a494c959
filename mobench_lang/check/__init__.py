"""Check: from the text of a spec to its typed meaning, with everything that is wrong with it.

In: the source of a spec. Out: `ir.Bench`, or None where there is an error or no bench, and the diagnostics in order.
Guarantee: total and pure but for reading the lock and the files that the spec names; nothing here raises on a user's
text, and nothing asks the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mobench_lang import ir
from mobench_lang.check import messages
from mobench_lang.check.bench import check_bench
from mobench_lang.check.load import Loader, project_root
from mobench_lang.check.schema import schema
from mobench_lang.diagnostics import Diagnostic, Diagnostics, has_errors, in_order
from mobench_lang.frozen import frozen
from mobench_lang.garbage import uncollected
from mobench_lang.lockfile import LOCK_FILE, Lock, LockError, read
from mobench_lang.source import Source

MAX_FAULTS = 1_000  # of one spec; what lies behind is not looked at


class _Enough(Exception):  # noqa: N818 - an end, no error
    """So many faults have been found that more would help nobody."""


@frozen
class Checked:
    """What the check of one spec found. `bench` is None after an error, or where the file declares none.

    `folders` says for each model where the relative paths of its source start, `lock` what its file was locked to.
    """

    bench: ir.Bench | None
    diagnostics: Diagnostics
    has_bench: bool
    folders: Mapping[str, Path | None]
    lock: Lock


def check_source(
    source: Source, folder: Path | None = None, *, need_bench: bool = False, lock: Lock | None = None
) -> Checked:
    """Check a spec; `folder` is where its relative paths start (the file's own folder by default), `lock` stands for
    the lock file of its project."""
    with uncollected():
        return _check(source, folder, need_bench, lock)


def _check(source: Source, folder: Path | None, need_bench: bool, lock: Lock | None) -> Checked:
    found: list[Diagnostic] = []
    folder = folder or (source.path.parent if source.path is not None else Path.cwd())
    root = project_root(folder)
    if lock is None:
        lock = _lock(root, source, folder, found)
    bench: ir.Bench | None = None
    folders: Mapping[str, Path | None] = {}
    has_bench = False

    def report(fault: Diagnostic) -> None:
        found.append(fault)
        if len(found) >= MAX_FAULTS:
            raise _Enough

    try:
        loader = Loader(schema(), report, root, lock)
        module = loader.load(source, folder, source.path.name if source.path is not None else source.name)
        has_bench = module.bench is not None
        if has_bench:
            bench, folders = check_bench(module, loader.schema)
        elif need_bench and not has_errors(found):
            found.append(messages.declarations.no_bench(source.span(0, 0)))
    except _Enough:
        last = found[-1].span
        found.append(messages.limits.too_many_faults(last.source.span(last.end, last.end), MAX_FAULTS))
    return Checked(None if has_errors(found) else bench, in_order(found), has_bench, folders, lock)


def _lock(root: Path, source: Source, folder: Path, found: list[Diagnostic]) -> Lock:
    """The lock of the project; one that cannot be used is a fault with its place in the lock file."""
    try:
        return read(root)
    except LockError as error:
        name = os.path.normpath(Path(source.name).parent / os.path.relpath(root / LOCK_FILE, folder.resolve()))
        place = Source(name, error.text).span(error.offset, error.offset)
        found.append(messages.capabilities.unusable_lock(place, error.why, error.help))
        return Lock(root)


__all__ = ["Checked", "check_source"]
