"""Virtual boards of every kind: what they say they are, what is sampled, what is set and put back."""

from __future__ import annotations

import difflib
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.jetson.board import jetpack
from mobench_targets.linux.virtual import VirtualBoard

from mobench_lang.ir import Quantity, Value
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plan.render import render, renderer
from mobench_lang.plugins import DeviceError
from tests.conftest import Golden
from tests.support.boards import VALUES, link, scripts, session, story

PROFILES = ("agx-orin", "nano", "orin-nano", "pc", "pi", "thor", "xavier")


def wants(**conditions: Value) -> tuple[PlanSetting, ...]:
    return tuple(PlanSetting(name=name, value=value, optional=False) for name, value in conditions.items())


def test_scripts_are_as_reviewed(tmp_path: Path, golden: Golden) -> None:
    made = scripts(tmp_path / "jetson")
    for name in ("board.sh", "README.md"):
        golden(f"targets/jetson_{name}", (made / name).read_text())
    # The rest of run.sh is the base's, and golden there.
    base = render(renderer("mobench_targets.shell", ()), "shell_run.sh.j2", VALUES).splitlines()
    own = [line[2:] for line in difflib.ndiff(base, (made / "run.sh").read_text().splitlines()) if line[:1] == "+"]
    golden("targets/jetson_run_own.sh", "\n".join(own) + "\n")
    golden("targets/linux_board.sh", (scripts(tmp_path / "linux", "linux") / "board.sh").read_text())


def test_scripts_have_no_fault_that_shellcheck_knows(tmp_path: Path) -> None:
    for target in ("jetson", "linux"):
        made = scripts(tmp_path / target, target)
        for name in ("board.sh", "run.sh"):
            found = subprocess.run(["shellcheck", "-s", "sh", made / name], capture_output=True, text=True, check=False)
            assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_board_is_and_what_is_sampled(tmp_path: Path, golden: Golden, profile: str) -> None:
    async def told(board: VirtualBoard) -> None:
        opened = await session(board, tmp_path)
        facts = await opened.facts()
        assert facts["identity"].startswith("board-") and facts["cores"] > 0 and facts["ram_bytes"] > 1 << 20
        state = await opened.state()
        assert state["temperature"] is not None and state["t"] > 0
        sampling = opened._kind.sampling()
        assert sampling is not None
        lines = [f"{name}: {facts.get(name)}" for name in (
            "model", "l4t", "jetpack", "cuda", "power_mode", "power_modes", "rails_total", "rails_reason",
        )]  # fmt: skip
        assert facts["cores"] == len(os.sched_getaffinity(0))
        # The processor of `pc` is this machine's.
        lines.insert(0, "" if profile == "pc" else f"platform: {opened.platform}")
        lines += [
            f"temperature: {state['temperature']}",
            f"hz: {sampling.hz:g}, slow every {sampling.slow_every}, lead {sampling.lead_s:g} s",
        ]
        lines += [
            f"{c.tier} {c.name} {c.unit} {c.path.removeprefix(str(board.folder))} ({c.source})"
            for c in sampling.channels
        ]
        golden(f"targets/virtual_{profile}.txt", "\n".join(lines) + "\n")
        await opened.close()

    story(tmp_path, profile, told)


def test_a_board_that_is_begun_again_is_the_same_and_another_one_is_not(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def told(board: VirtualBoard) -> None:
        opened = await session(board, tmp_path)
        seen.append((await opened.facts())["identity"])
        await opened.close()

    story(tmp_path, "pi", told)
    story(tmp_path, "pi", told)
    (tmp_path / "other").mkdir()
    story(tmp_path / "other", "pi", told)
    assert seen[0] == seen[1] != seen[2]


def test_power_mode_clocks_and_fan_are_set_verified_and_put_back(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        opened, fan = await session(board, tmp_path), board.sys / str(board.profile.fan)
        clocks = board.sys / "devices/system/cpu/cpufreq/policy0"
        before = {path: path.read_text() for path in (board.folder / "mode", fan, *clocks.iterdir())}
        await opened.facts()
        records = await opened.prepare(
            wants(power_mode="15W", jetson_clocks="on", fan=Quantity(Decimal("0.5"), "1"), governor="performance")
        )
        assert [(r["name"], r["applied"], r["verified"], r["reason"]) for r in records] == [
            (name, True, True, "") for name in ("power_mode", "jetson_clocks", "fan", "governor")
        ]
        assert (board.folder / "mode").read_text() == "0\n" and fan.read_text() == "128\n"
        assert (clocks / "scaling_min_freq").read_text() == (clocks / "scaling_max_freq").read_text()
        assert not (board.folder / "nvfancontrol").exists()
        await opened.close()
        # A later process of the host, which knows nothing of this one.
        later = await session(board, tmp_path)
        await later.restore()
        await later.restore()
        assert {path: path.read_text() for path in before} == before
        assert (board.folder / "nvfancontrol").exists()
        await later.close()

    story(tmp_path, "orin-nano", told)


@pytest.mark.parametrize(
    ("profile", "name", "value", "reason"),
    [
        ("orin-nano", "power_mode", "7W", "needs a reboot"),
        ("orin-nano", "power_mode", "500W", "it has: 15W 25W MAXN_SUPER 7W"),
        ("orin-nano", "power_mode", "$(reboot)'\n-q", "no power mode"),
        ("orin-nano", "governor", "warp", "it has schedutil performance powersave"),
        ("xavier", "fan", "0.5", "shows no fan"),
        ("pi", "power_mode", "15W", "has no condition power_mode"),
    ],
)
def test_what_cannot_be_set_has_a_reason(tmp_path: Path, profile: str, name: str, value: str, reason: str) -> None:
    async def told(board: VirtualBoard) -> None:
        opened = await session(board, tmp_path)
        await opened.facts()
        [record] = await opened.prepare(wants(**{name: value}))
        assert not record["applied"] and reason in record["reason"]
        await opened.restore()
        if profile == "orin-nano":
            assert (board.folder / "mode").read_text() == "1\n"
        await opened.close()

    story(tmp_path, profile, told)


def test_sudo_that_wants_a_password_is_said_with_what_to_do(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        board.refuse_sudo()
        opened = await session(board, tmp_path)
        await opened.facts()
        [record] = await opened.prepare(wants(power_mode="15W"))
        assert not record["applied"] and "NOPASSWD" in record["reason"]
        assert (board.folder / "mode").read_text() == "1\n"
        [record] = await opened.prepare(wants(power_mode="25W"))
        assert record["verified"], "what is so already needs nobody's leave"
        await opened.close()

    story(tmp_path, "orin-nano", told)


def test_faults_can_be_asked_for_with_the_profile(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        assert (await ssh.run("sudo -n true")).rc == 1
        assert (await ssh.run(f"cat {board.sys}/class/thermal/thermal_zone0/temp")).text == "97000"
        ahead = int((await ssh.run("date +%s")).text) - int((await ssh.run("/usr/bin/date +%s")).text)
        assert 86_395 <= ahead <= 86_400
        await ssh.close()

    story(tmp_path, "orin-nano:no_sudo,hot=97000,clock_off=86400", told)

    async def healthy(board: VirtualBoard) -> None:
        ssh = await link(board)
        assert (await ssh.run("sudo -n true")).rc == 0
        await ssh.close()

    story(tmp_path, "orin-nano", healthy)


@pytest.mark.parametrize("fault", ["warp", "hot", "no_sudo=1", "hot=x"])
def test_a_fault_that_nobody_knows(tmp_path: Path, fault: str) -> None:
    with pytest.raises(DeviceError, match="is no fault of a virtual board"):
        story(tmp_path, f"orin-nano:{fault}", link)


def test_sudo_that_goes_away_leaves_the_change_written_down(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        opened = await session(board, tmp_path)
        await opened.facts()
        await opened.prepare(wants(power_mode="15W"))
        board.refuse_sudo()
        with pytest.raises(DeviceError) as raised:
            await opened.restore()
        assert raised.value.code == "not_restored"
        board.refuse_sudo(refuse=False)
        await opened.restore()
        assert (board.folder / "mode").read_text() == "1\n"
        await opened.close()

    story(tmp_path, "orin-nano", told)


def test_throttling_and_a_clock_that_is_a_day_off_are_seen(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        opened = await session(board, tmp_path)
        await opened.facts()
        before = await opened.state()
        board.hot(97_000)
        board.clock_off(86_400)
        after = await opened.state()
        assert after["temperature"] == 97_000
        assert after["clocks_khz"]["policy0"] == before["clocks_khz"]["policy0"] // 2
        assert after["wall_ns"] - before["wall_ns"] >= 86_400_000_000_000
        # What measures time is not the wall clock.
        assert 0 <= after["t"] - before["t"] < 60_000_000_000
        await opened.close()

    story(tmp_path, "orin-nano", told)


def test_sensors_move_as_they_are_said_to(tmp_path: Path) -> None:
    from mobench_targets.linux.virtual.replay import level

    assert [level(1000, 400, 1_000_000_000, t * 250_000_000) for t in range(5)] == [600, 1000, 1400, 1000, 600]

    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        [path] = board.sys.glob("bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr1_input")
        ran = await ssh.run(f"for i in 1 2 3 4 5 6 7 8 9; do cat {path}; sleep 0.03; done")
        seen = {int(word) for word in ran.text.split()}
        assert len(seen) > 2 and all(800 <= value <= 2000 for value in seen)
        await ssh.close()

    story(tmp_path, "orin-nano", told)


@pytest.mark.parametrize(
    ("l4t", "found"),
    [
        ("32.7.1", "4"),
        ("35.4.1", "5"),
        ("36.4.3", "6"),
        ("38.2.0", "7"),
        ("39.2.0", "7"),
        ("99.1", None),
        (None, None),
        ("x", None),
    ],
)
def test_releases(l4t: str | None, found: str | None) -> None:
    assert jetpack(l4t) == found
