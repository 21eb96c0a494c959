"""Installs the fake packs of `tests/support/packs` for the length of a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mobench_lang import packs, plugins
from mobench_lang.check.schema import schema

PACKS = Path(__file__).parent / "packs"


@contextmanager
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packs are found by discovery, here and in programs that are started."""
    monkeypatch.syspath_prepend(str(PACKS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PACKS), str(PACKS.parents[2])]))
    _forget()
    try:
        yield
    finally:
        _forget()


def _forget() -> None:
    for cached in (packs.points, packs.manifests, plugins.target, plugins.engine, schema):
        cached.cache_clear()
