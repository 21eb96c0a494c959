"""`.ci/setup.py`: what it says and does on machines that lack something, and what makes it run again."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mobench_setup", ROOT / ".ci" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bare(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine without a C++ compiler; the apt commands that would run, which then bring it."""
    commands: list[list[str]] = []
    there = {"cc", "make", "git", "apt-get", "sudo"}
    monkeypatch.setattr(script.shutil, "which", lambda name: f"/usr/bin/{name}" if name in there else None)

    def run(what: str, argv: list[str], **_: Any) -> None:
        commands.append(argv)
        if "install" in argv:
            there.add("c++")

    monkeypatch.setattr(script, "run", run)
    return commands


def sudo(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *, uid: int, status: int) -> None:
    monkeypatch.setattr(script.os, "geteuid", lambda: uid)
    monkeypatch.setattr(script.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=status))


def test_root_installs_what_is_missing(
    script: ModuleType, bare: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo(script, monkeypatch, uid=0, status=1)
    script.tools()
    assert bare == [
        ["apt-get", "update"],
        ["apt-get", "install", "--yes", "--no-install-recommends", "g++", *script.FOR_TESTS.values()],
    ]


def test_sudo_without_a_password_will_do(
    script: ModuleType, bare: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo(script, monkeypatch, uid=1000, status=0)
    script.tools()
    assert [command[:3] for command in bare] == [["sudo", "-n", "apt-get"]] * 2


def test_who_may_not_install_is_told_the_command(
    script: ModuleType,
    bare: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sudo(script, monkeypatch, uid=1000, status=1)
    assert script.main(["tools"]) == 2
    assert bare == []
    assert "sudo apt-get update && sudo apt-get install --yes g++\n" in capsys.readouterr().err


def test_what_only_tests_need_stops_nobody(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sudo(script, monkeypatch, uid=1000, status=1)
    monkeypatch.setattr(script.shutil, "which", lambda name: None if name in script.FOR_TESTS else f"/usr/bin/{name}")
    script.tools()
    assert "without the packages mksh toybox busybox shellcheck" in capsys.readouterr().out


def test_nothing_is_installed_where_nothing_is_missing(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(script, "run", lambda *_, **__: pytest.fail("nothing is to be run"))
    script.tools()


def test_a_failing_step_shows_the_end_of_its_log(script: ModuleType, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('why it failed'); raise SystemExit(3)"]
    with pytest.raises(script.SetupError, match=r"why it failed(?s:.*)a step: exit status 3; the whole log is"):
        script.run("a step", argv, log=tmp_path / "log")


def test_only_what_matters_makes_setup_run_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(document, "utf-8")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    first = script.digest()
    (tmp_path / "pyproject.toml").write_text(document + "\n[tool.anything]\nx = 1\n", "utf-8")
    assert script.digest() == first
    (tmp_path / "pyproject.toml").write_text(document.replace('"click>=', '"clack>='), "utf-8")
    assert script.digest() != first


def test_setup_does_nothing_when_nothing_changed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stamp = tmp_path / "stamp.json"
    monkeypatch.setattr(script, "STAMP", stamp)
    monkeypatch.setattr(script, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(script, "tools", lambda: pytest.fail("setup is current"))
    stamp.write_text(json.dumps({"digest": script.digest()}), "utf-8")
    script.setup()
    assert capsys.readouterr().out == ""
    stamp.write_text("torn {", "utf-8")
    assert not script.is_current()


def test_two_setups_wait_for_each_other(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock, order = tmp_path / "lock", []

    def second() -> None:
        with script.locked(lock, "waiting"):
            order.append("second")

    with script.locked(lock, "waiting"):
        other = threading.Thread(target=second)
        other.start()
        deadline = time.monotonic() + 10
        while "waiting" not in capsys.readouterr().out and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_the_binding_is_kept_by_what_it_is_built_from(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    key = script.binding_key()
    assert script.binding_key() == key
    monkeypatch.setattr(script, "CMAKE_ARGS", "-DGGML_NATIVE=OFF")
    assert script.binding_key() != key


def test_pins_hold_all_that_is_required(script: ModuleType) -> None:
    """Each build tool and the binding have an exact version, and the binding's is the one that is built."""
    pins = script.pins()
    assert set(script.BUILD_TOOLS) <= set(pins)
    assert f"llama-cpp-python=={pins['llama-cpp-python']}" == script.BINDING


def test_the_environment_is_what_the_pins_say(script: ModuleType) -> None:
    from importlib.metadata import distributions

    pins = script.pins()
    ours = {"mobench", "mobench-plugin-example"}
    installed = {d.metadata["Name"].lower().replace("_", "-").replace(".", "-"): d.version for d in distributions()}
    if not Path(sys.prefix, "mobench-setup.json").exists():
        pytest.skip("these tests do not run in the .venv that setup makes")
    assert {n: v for n, v in installed.items() if n not in ours} == {n: pins.get(n) for n in installed if n not in ours}


def test_an_unknown_verb_is_usage() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "setup.py"), "everything"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": os.defpath},
    )
    assert done.returncode == 2
    assert "python3 .ci/setup.py lock" in done.stderr
