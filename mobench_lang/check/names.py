"""Environments: what names stand for, and where they were set.

In: nothing. Out: the protocol of an environment, what a name is bound to, and an environment with one more name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from mobench_lang.check.values import Val
from mobench_lang.frozen import frozen
from mobench_lang.packs import Attribute
from mobench_lang.source import Span


class Env(Protocol):
    """Where names are looked up."""

    def find(self, name: str) -> Bound | None:
        """What a name stands for here, or None."""

    def names(self) -> Iterator[str]:
        """Every name that can be used here, for suggestions."""


@frozen
class Bound:
    """What a name stands for: its value, where it was set, and for an axis the words its values may be.

    `outside` marks an axis that is read where no cell is meant, so that it has no value.
    """

    value: Val
    span: Span | None
    want: Attribute | None = None
    namespace: Mapping[str, Bound] | None = None
    outside: bool = False


@frozen
class Local:
    """An environment with one more name."""

    parent: Env
    name: str
    bound: Bound

    def find(self, name: str) -> Bound | None:
        """The name itself, else what the parent says."""
        return self.bound if name == self.name else self.parent.find(name)

    def names(self) -> Iterator[str]:
        """The parent's names and this one."""
        yield self.name
        yield from self.parent.names()
