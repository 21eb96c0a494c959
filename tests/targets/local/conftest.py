"""The fake engine's instrument, for launches without a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.packs_path import installed


@pytest.fixture(autouse=True)
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make `fake` an engine."""
    with installed(monkeypatch):
        yield
