"""The fake packs are installed for the tests of this folder, and for programs that they start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packs_path import installed
from tests.support.runs import Lab


@pytest.fixture(autouse=True)
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make `fake` an engine and a target."""
    with installed(monkeypatch):
        yield


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A project folder."""
    assert os.sched_getaffinity(0)
    return Lab(tmp_path)
