"""What went wrong with a run folder, the database or a query → one line and an exit status.

In: exceptions of collect and store. Out: click's way of ending. 2: the usage or the query is wrong; 4: the store
failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


class Failure(click.ClickException):
    """Ends the command with a message: the usage, the run or the query is wrong."""

    exit_code = 2


class StoreFailure(Failure):
    """Ends the command with a message: the store failed."""

    exit_code = 4


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what can go wrong around the store into `Failure`."""
    from mobench_lang.collect.holder import RunError
    from mobench_lang.store.database import StoreError
    from mobench_lang.store.query import QueryError

    try:
        yield
    except StoreError as error:
        raise (Failure if error.code == "missing" else StoreFailure)(str(error)) from error
    except (RunError, QueryError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise StoreFailure(str(error)) from error
