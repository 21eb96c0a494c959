"""`use`: what is found, what is given, circles, the edge of the project, and many files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mobench_lang.check import check_source
from mobench_lang.source import Source
from tests.support.specs import bench, check, compiles, declares, rejects, shown

SHELF = 'mobench 1\nuse "std/models" { tiny }\nlet n = 4\ndevice pixel { target = android }\n'


def test_by_name_and_by_file() -> None:
    compiles(
        bench("device = pixel\nrun { repeat = n }", without="device", before='use "shelf.bench" { pixel, n }'),
        {"shelf.bench": SHELF},
    )
    compiles(
        bench("device = s.pixel\nrun { repeat = s.n }", without="device", before='use "lib/shelf.bench" as s'),
        {"lib/shelf.bench": SHELF},
    )


def test_names_are_not_passed_on() -> None:
    rejects('use "shelf.bench" { tiny }', "E0204", at="tiny", files={"shelf.bench": SHELF})
    rejects('use "shelf.bench" as s\nlet x = s.tiny', "E0204", at="tiny", files={"shelf.bench": SHELF})
    rejects('use "shelf.bench" as s\nlet x = s', "E0306", at="s", files={"shelf.bench": SHELF})


def test_a_misspelt_name_or_file_offers_the_nearest() -> None:
    assert "pixel" in rejects('use "shelf.bench" { pixle }', "E0204", at="pixle", files={"shelf.bench": SHELF}).helps[0]
    assert (
        "shelf.bench"
        in rejects('use "shelv.bench" as s', "E0201", at='"shelv.bench"', files={"shelf.bench": SHELF}).helps[0]
    )
    assert "std/models" in rejects('use "std/model" as s', "E0201", at='"std/model"').helps[0]


def test_a_bench_is_not_given() -> None:
    rejects(
        'use "o.bench" { b }',
        "E0207",
        at="b",
        files={"o.bench": "mobench 1\n" + bench().replace("m.gguf", "../m.gguf")},
    )


def test_names_that_are_taken() -> None:
    rejects('use "shelf.bench" { n }\nlet n = 1', "E0302", at="n", files={"shelf.bench": SHELF})
    rejects('use "shelf.bench" as len', "E0303", at="len", files={"shelf.bench": SHELF})


@pytest.mark.parametrize("path", ["../x.bench", "/etc/x.bench", "a/../../x.bench"])
def test_nothing_outside_of_the_project(path: str) -> None:
    rejects(f'use "{path}" as x', "E0203", at=f'"{path}"')


def test_a_link_does_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "out.bench").write_text(SHELF)
    inside = tmp_path / "project"
    inside.mkdir()
    (inside / "link.bench").symlink_to(tmp_path / "out.bench")
    source = Source("s.bench", 'mobench 1\nuse "link.bench" as x\n', inside / "s.bench")
    assert [d.code for d in check_source(source).diagnostics] == ["E0203"]


def test_the_project_reaches_up_to_its_mark(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shelf.bench").write_text(SHELF)
    (tmp_path / "a" / "b").mkdir(parents=True)
    source = Source("s.bench", 'mobench 1\nuse "../../shelf.bench" { n }\n', tmp_path / "a" / "b" / "s.bench")
    assert not check_source(source).diagnostics


@pytest.mark.parametrize("path", ["", "x\\u{0}y", "a\\nb", "std/../models", "std/", "std//models", "std/tiny"])
def test_odd_paths_are_not_found(path: str) -> None:
    assert check(f'use "{path}" as x').diagnostics[0].code in ("E0201", "E0203", "E0146")


def test_files_that_use_each_other() -> None:
    files = {"a.bench": 'mobench 1\nuse "b.bench" as b\n', "b.bench": 'mobench 1\nuse "spec.bench" as s\n'}
    found = rejects('use "a.bench" as a', "E0202", at='"spec.bench"', files=files | {"spec.bench": ""})
    assert "spec.bench → a.bench → b.bench → spec.bench" in found.helps
    rejects('use "spec.bench" as me', "E0202", files={"spec.bench": ""})


def test_a_file_that_two_use_is_read_once_and_told_of_once() -> None:
    files = {
        "base.bench": "mobench 1\nlet x = nothing\n",
        "a.bench": 'mobench 1\nuse "base.bench" as base\n',
        "b.bench": 'mobench 1\nuse "base.bench" as base\n',
    }
    found = rejects('use "a.bench" as a\nuse "b.bench" as b', "E0301", files=files)
    assert found.span.source.name == "base.bench"


def test_faults_of_a_used_file_are_told_in_its_own_text() -> None:
    found = rejects('use "lib/a.bench" { y }', "E0126", files={"lib/a.bench": "mobench 1\nlet x =\nlet y = 1\n"})
    assert (found.span.source.name, found.span.line) == ("lib/a.bench", 2)
    rejects('use "a.bench" { x }\nlet z = x + 1', "E0126", files={"a.bench": "mobench 1\nlet x =\n"})


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.bench").write_bytes(b'mobench 1\nlet x = "\xff\xfe"\n')
    source = Source("s.bench", 'mobench 1\nuse "a.bench" as a\n', tmp_path / "s.bench")
    assert [d.code for d in check_source(source).diagnostics] == ["E0206"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.bench").mkdir()  # binds root too, who may read everything
    source = Source("s.bench", 'mobench 1\nuse "a.bench" as a\n', tmp_path / "s.bench")
    assert [d.code for d in check_source(source).diagnostics] == ["E0206"]


def test_two_hundred_files_and_no_more() -> None:
    files = {f"f{i}.bench": f"mobench 1\nlet x{i} = {i}\n" for i in range(1000)}
    declares("".join(f'use "f{i}.bench" as f{i}\n' for i in range(199)), files)
    found = check("".join(f'use "f{i}.bench" as f{i}\n' for i in range(1000)), files).diagnostics
    assert {d.code for d in found} == {"E0205"}, shown(found[:5])


def test_a_long_chain_of_files() -> None:
    files = {f"f{i}.bench": f'mobench 1\nuse "f{i + 1}.bench" as f{i + 1}\n' for i in range(1000)}
    limit = sys.getrecursionlimit()
    assert {d.code for d in check('use "f0.bench" as f0', files).diagnostics} == {"E0205"}
    assert sys.getrecursionlimit() == limit


def test_the_library_is_without_faults() -> None:
    for name in ("devices", "meters", "workloads"):
        declares(f'use "std/{name}" as x')
