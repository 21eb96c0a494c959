"""Who works on a run, and what is no run folder at all; light enough for verbs that only ask that.

In: a run folder. Out: a process number; the exception for folders that cannot be read.
"""

from __future__ import annotations

from pathlib import Path

from mobench_lang.collect.lines import read_object


class RunError(Exception):
    """A folder is no run folder, or one that this version cannot read; the text says what to do."""


def holder(folder: Path) -> int | None:
    """The process whose `exec` works on the run; None if there is none.

    Told from what the lock file says: trying the lock would refuse an `exec` that begins at that moment.
    """
    told = read_object(folder / "lock") or {}
    pid, began = told.get("pid"), told.get("start_time")
    if not isinstance(pid, int) or pid <= 0 or not Path(f"/proc/{pid}").exists():
        return None
    from mobench_lang.execute.process import start_time  # brings the whole executor with it, so only where it is asked

    found = start_time(pid)
    return pid if found is not None and found == began else None
