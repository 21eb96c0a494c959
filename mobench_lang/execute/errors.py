"""Why an `exec` cannot go on, each with its exit status; the text says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ExecError(Exception):
    """An `exec` that cannot begin or go on."""

    exit_status = 2


class BuildError(ExecError):
    """The build folder is not what `compile` writes."""


class UsageError(ExecError):
    """What was asked of `exec` makes no sense."""


class BusyError(ExecError):
    """Another `exec` holds the run or the device."""


class StoreError(ExecError):
    """The run folder cannot be read or written."""

    exit_status = 4


class StoreFullError(StoreError):
    """The disk is full: the run stops, keeps what it has and can be resumed."""


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file into StoreError, or StoreFullError where space is what is missing."""
    try:
        yield
    except OSError as error:
        raise store_error(path, error) from error


def store_error(path: Path, error: OSError) -> StoreError:
    """The StoreError for a system error about a file."""
    if error.errno in FULL:
        return StoreFullError(
            f"no space left for {path}: {error.strerror}. Nothing recorded is lost; make room and run the same "
            "command again"
        )
    reason = error.strerror or os.strerror(error.errno or 0)
    return StoreError(f"cannot write {path}: {reason}")
