"""Fixes applied to a text, for `check --fix`.

In: a source and diagnostics. Out: the mended text and how many fixes went into it. Guarantee: only safe fixes, each
with all of its edits or not at all; edits never overlap, the first one in the order of the diagnostics wins.
"""

from __future__ import annotations

from collections.abc import Iterable

from mobench_lang.diagnostics import Diagnostic, Edit
from mobench_lang.source import Source


def apply_fixes(source: Source, found: Iterable[Diagnostic]) -> tuple[str, int]:
    """The text of `source` with the first safe fix of each diagnostic, and the number of fixes applied."""
    taken: list[Edit] = []
    applied = 0
    for d in found:
        fix = next((f for f in d.fixes if f.safe and f.edits), None)
        if fix is None or any(e.span.source is not source for e in fix.edits):
            continue
        if any(_clash(mine, other) for i, mine in enumerate(fix.edits) for other in (*taken, *fix.edits[:i])):
            continue
        taken += fix.edits
        applied += 1
    text, at = [], 0
    for edit in sorted(taken, key=lambda e: e.span.start):
        text += [source.text[at : edit.span.start], edit.text]
        at = edit.span.end
    return "".join([*text, source.text[at:]]), applied


def _clash(a: Edit, b: Edit) -> bool:
    """True if two edits touch the same characters, or insert at the same place."""
    if a.span.start == b.span.start:
        return True
    return a.span.start < b.span.end and b.span.start < a.span.end
