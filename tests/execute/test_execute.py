"""What an exec makes of launches that go well and launches that do not."""

from __future__ import annotations

from pathlib import Path

from tests.support import plans
from tests.support.runs import Lab, journal


def test_a_run_from_nothing(lab: Lab, tmp_path: Path) -> None:
    result = lab.exec(plans.build(tmp_path / "build", repeat=3))
    assert result.counts == {"ok": 3}
    assert result.pending == 0
    assert result.folder is not None
    ends = journal(result.folder, "end")
    assert [(r["rep"], r["status"]) for r in ends] == [(0, "ok"), (1, "ok"), (2, "ok")]
