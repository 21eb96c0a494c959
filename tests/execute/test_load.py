"""A build folder that is not what `compile` wrote is refused, with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.execute.errors import BuildError
from mobench_lang.execute.load import load
from mobench_lang.plan.digest import canonical_json, plan_digest
from mobench_lang.plan.model import Plan
from tests.support import plans
from tests.support.runs import Lab


def change(build: Path, **fields: Any) -> None:
    """Change fields of plan.json by hand."""
    path = build / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def reseal(build: Path, **fields: Any) -> None:
    """Change fields of plan.json and its digest with them."""
    plan = Plan.model_validate_json((build / "plan.json").read_bytes()).model_copy(update=fields)
    sealed = plan.model_copy(update={"digest": plan_digest(plan)})
    (build / "plan.json").write_bytes(canonical_json(sealed))


def test_cells_are_read_by_number(tmp_path: Path) -> None:
    build = load(plans.build(tmp_path / "build", workloads=(plans.workload("a"), plans.workload("b"))))
    assert len(build) == 2
    assert [build.vector(n) for n in range(2)] == [(0, 0, 0, 0), (0, 0, 0, 1)]
    assert len(set(build.ids)) == 2
    build.close()


@pytest.mark.parametrize(("version", "what"), [(2, "upgrade mobench"), (None, "compile the spec again")])
def test_an_unknown_version_says_what_to_do(lab: Lab, tmp_path: Path, version: int | None, what: str) -> None:
    build = plans.build(tmp_path / "build")
    change(build, plan_version=version)
    with pytest.raises(BuildError, match=f"plan version {version}, this mobench reads version 1; {what}"):
        lab.exec(build)
    assert not lab.runs.exists()


def test_no_build_folder(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is not a build folder; `mobench compile` makes one"):
        lab.exec(tmp_path / "nothing")


def test_a_changed_plan_is_refused(tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build")
    change(build, bench="other")
    with pytest.raises(BuildError, match="changed after it was compiled"):
        load(build)


def test_a_plan_that_is_no_plan(tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build")
    change(build, protocol={"warmup": "often"})
    with pytest.raises(BuildError, match="is not a plan"):
        load(build)
    (build / "plan.json").write_text("{")
    with pytest.raises(BuildError, match="is not JSON"):
        load(build)


@pytest.mark.parametrize("damage", [lambda data: data + data, lambda data: data[:-1], lambda data: b""])
def test_other_cells_are_refused(tmp_path: Path, damage: Any) -> None:
    build = plans.build(tmp_path / "build")
    cells = build / "cells.jsonl"
    cells.write_bytes(damage(cells.read_bytes()))
    with pytest.raises(BuildError, match=r"cells\.jsonl"):
        load(build)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "a b", "$(reboot)", "x\ny", "..", "é"])
def test_an_id_that_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    from hashlib import sha256

    build = plans.build(tmp_path / "build")
    line = canonical_json({"id": name, "v": [0, 0, 0, 0]}) + b"\n"
    (build / "cells.jsonl").write_bytes(line)
    reseal(build, cells_sha256=sha256(line).hexdigest())
    with pytest.raises(BuildError, match="damaged in line 1"):
        load(build)


def test_rendered_files_are_part_of_the_build(tmp_path: Path) -> None:
    from hashlib import sha256

    build = plans.build(tmp_path / "build")
    (build / "run.sh").write_text("true\n")
    reseal(build, files=(("run.sh", sha256(b"true\n").hexdigest()),))
    load(build).close()
    (build / "run.sh").write_text("false\n")
    with pytest.raises(BuildError, match=r"run\.sh was changed"):
        load(build)
    reseal(build, files=(("../weights.gguf", "0"),))
    with pytest.raises(BuildError, match="outside its folder"):
        load(build)


def test_the_digest_is_over_values_alone(tmp_path: Path) -> None:
    plan = load(plans.build(tmp_path / "build")).plan
    again = Plan.model_validate(json.loads(canonical_json(plan)))
    assert canonical_json(again) == canonical_json(plan)
    assert plan_digest(again) == plan.digest
    with pytest.raises(TypeError):
        canonical_json({"x": 0.5})
