"""Entry points are found where `importlib.metadata` finds them."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from mobench_lang.entry_points import registered


def distribution(folder: Path, name: str, text: str | None, ending: str = "dist-info") -> None:
    """What an installer leaves of a distribution."""
    information = folder / f"{name}.{ending}"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.partition('-')[0]}\nVersion: 1\n")
    if text is not None:
        (information / "entry_points.txt").write_text(text, "utf-8")


def both(group: str) -> list[tuple[str, str]]:
    """What is found, if both say the same."""
    ours = sorted((p.name, p.value) for p in registered(group))
    assert ours == sorted((p.name, p.value) for p in metadata.entry_points(group=group))
    return ours


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("group", ["mobench.targets", "mobench.engines", "console_scripts", "pytest11", "none.such"])
def test_of_this_installation(group: str) -> None:
    found = both(group)
    assert bool(found) == (group != "none.such")


def test_texts(folder: Path) -> None:
    distribution(
        folder, "a-1", "# words\n[other]\nx = y:z\n\n [g] \n  one=m.n : o \ntwo = p:q [extra]\n[g.more]\nw = v:u\n"
    )
    distribution(folder, "b-1", "[g]\none = again:x", "egg-info")
    distribution(folder, "c-1", None)
    distribution(folder, "d-1", "")
    (folder / "e-1.dist-info").write_text("a file where a folder is expected")
    assert both("g") == [("one", "again:x"), ("one", "m.n : o"), ("two", "p:q [extra]")]
    assert {(p.module, p.attribute) for p in registered("g")} == {("m.n", "o"), ("p", "q"), ("again", "x")}


def test_the_first_distribution_of_a_name_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(folder / "first", "Some_Pack-2", "[g]\na = new:x\n")
    distribution(folder / "second", "some.pack-1", "[g]\nb = old:x\n")
    for name in ("second", "first"):
        monkeypatch.syspath_prepend(str(folder / name))
    assert both("g") == [("a", "new:x")]


def test_in_an_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(folder / "packs.zip", "w") as file:
        file.writestr("z-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: z\nVersion: 1\n")
        file.writestr("z-1.dist-info/entry_points.txt", "[g]\nz = m:o\n")
    monkeypatch.syspath_prepend(str(folder / "packs.zip"))
    assert both("g") == [("z", "m:o")]


def test_by_a_finder_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(folder / "hidden", "h-1", "[g]\nh = m:o\n")

    class Finder(metadata.DistributionFinder):
        """Knows of a folder that is not on the path."""

        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(self, context: object = None) -> list[metadata.PathDistribution]:
            return [metadata.PathDistribution(folder / "hidden" / "h-1.dist-info")]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert both("g") == [("h", "m:o")]
