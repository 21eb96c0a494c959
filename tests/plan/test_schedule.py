"""The order of launches."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.execute.load import load
from mobench_lang.plan.schedule import Slot, schedule
from tests.support import plans


def scheduled(folder: Path, cells: int, **run: object) -> list[tuple[Slot, str]]:
    """The slots of a plan with a number of cells, and the id of each one's cell."""
    workloads = tuple(plans.workload(f"w{number}", prompt=number) for number in range(cells))
    build = load(plans.build(folder, workloads=workloads, **run))
    found = [(slot, build.ids[slot.cell]) for slot in schedule(build.ids, range(cells), build.plan.protocol)]
    build.close()
    return found


@settings(max_examples=25, deadline=None)
@given(cells=st.integers(1, 8), repeat=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_randomised_blocks_are_complete(cells: int, repeat: int, seed: int) -> None:
    with TemporaryDirectory() as name:
        found = scheduled(Path(name) / "build", cells, repeat=repeat, seed=seed)
    blocks = [found[i * cells : (i + 1) * cells] for i in range(repeat)]
    for number, block in enumerate(blocks):
        assert sorted(slot.cell for slot, _ in block) == list(range(cells))
        assert [slot.order for slot, _ in block] == list(range(cells))
        assert {(slot.block, slot.rep) for slot, _ in block} == {(number, number)}


@settings(max_examples=25, deadline=None)
@given(cells=st.integers(1, 6), more=st.integers(1, 4), repeat=st.integers(1, 3), longer=st.integers(0, 2))
def test_a_plan_that_grows_keeps_its_order(cells: int, more: int, repeat: int, longer: int) -> None:
    with TemporaryDirectory() as name:
        small = scheduled(Path(name) / "small", cells, repeat=repeat)
        large = scheduled(Path(name) / "large", cells + more, repeat=repeat + longer)
    known = {cell for _, cell in small}
    kept = [(slot.block, cell) for slot, cell in large if cell in known and slot.block < repeat]
    assert kept == [(slot.block, cell) for slot, cell in small]


def test_blocks_and_seeds_differ_in_order(tmp_path: Path) -> None:
    def orders(name: str, seed: int) -> list[tuple[str, ...]]:
        found = scheduled(tmp_path / name, 8, repeat=3, seed=seed)
        return [tuple(cell for _, cell in found[i : i + 8]) for i in (0, 8, 16)]

    first = orders("a", 1)
    assert len(set(first)) == 3
    assert orders("b", 1) == first
    assert orders("c", 2) != first


def test_interleaved_and_sequential(tmp_path: Path) -> None:
    interleaved = scheduled(tmp_path / "i", 2, repeat=2, order="interleaved")
    assert [(slot.cell, slot.rep) for slot, _ in interleaved] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    sequential = scheduled(tmp_path / "s", 2, repeat=2, order="sequential")
    assert [(slot.cell, slot.rep) for slot, _ in sequential] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    by_cell = scheduled(tmp_path / "c", 2, repeat=2, order="sequential", isolation="cell")
    assert [(slot.cell, slot.rep, slot.measured) for slot, _ in by_cell] == [(0, 0, 2), (1, 0, 2)]
