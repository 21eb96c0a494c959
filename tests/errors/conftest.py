"""The texts list what is installed; these are the texts of a plain installation, without the example packs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata

import pytest

from mobench_lang import packs
from mobench_lang.packs import GROUPS, Manifest


@pytest.fixture(autouse=True)
def _shipped_packs_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def shipped(kind: str) -> Mapping[str, Manifest]:
        ours = metadata.distribution("mobench").entry_points.select(group=GROUPS[kind]).names
        return {name: manifest for name, manifest in packs.manifests(kind).items() if name in ours}

    module = import_module("mobench_lang.check.schema")  # the package has a function of that name
    monkeypatch.setattr(module, "manifests", shipped)
    module.schema.cache_clear()
    yield
    module.schema.cache_clear()
