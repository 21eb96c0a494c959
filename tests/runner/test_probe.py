"""`--probe`: what it finds on a tree of made-up files, and on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.runner.conftest import as_nobody

CPU = "sys/devices/system/cpu"


def probe(tools: Path, *words: str | Path, **more: Any) -> dict[str, Any]:
    done = subprocess.run([tools, "--probe", *words], capture_output=True, check=True, **more)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A phone of three clusters with a battery, a power monitor and one sensor that is not for us."""
    root = tmp_path / "phone"
    files = {
        "proc/sys/kernel/osrelease": "5.10.157-android13\n",
        "proc/meminfo": "MemTotal:        7741000 kB\nMemFree: 1 kB\n",
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\nCPU part\t: 0xd05\n",
        f"{CPU}/online": "0-7\n",
        "sys/class/thermal/thermal_zone0/temp": "41500\n",
        "sys/class/thermal/thermal_zone0/type": 'big "core"\n',
        "sys/class/thermal/thermal_zone1/temp": "secret\n",
        "sys/class/thermal/thermal_zone1/type": "skin\n",
        "sys/class/power_supply/battery/current_now": "-512000\n",
        "sys/class/power_supply/battery/capacity": "81\n",
        "sys/class/power_supply/battery/type": "Battery\n",
        "sys/bus/iio/devices/iio:device0/energy_value": "t=349894\nCH3(T=349894)[S2M_VDD_CPUCL2], 30203502\n"
        "CH4(T=1)[VSYS], 77\n",
        "sys/bus/iio/devices/iio:device0/name": "s2mpg10-odpm\n",
        "sys/class/hwmon/hwmon3/in1_input": "5080\n",
        "sys/class/hwmon/hwmon3/in1_label": "VDD_IN\n",
        "sys/class/hwmon/hwmon3/name": "ina3221\n",
        "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device1/in_power0_input": "3120\n",
        "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device1/rail_name_0": "POM_5V_IN\n",
        "sys/class/powercap/intel-rapl:0/energy_uj": "123\n",
        "sys/class/powercap/intel-rapl:0/name": "package-0\n",
        f"{CPU}/cpufreq/policy0/scaling_cur_freq": "300000\n",
    }
    speeds = [1800000] * 4 + [2253000] * 2 + [2802000] * 2
    files |= {f"{CPU}/cpu{i}/cpufreq/cpuinfo_max_freq": f"{speed}\n" for i, speed in enumerate(speeds)}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_phone(tools: Path, phone: Path, golden: Any) -> None:
    found = probe(tools, "--root", phone)
    found["machine"], found["page_size"] = "(of the test's machine)", 0
    golden("runner/probe.json", json.dumps(found, ensure_ascii=False, indent=1) + "\n")


def test_what_root_alone_may_read_is_denied(tools: Path, phone: Path) -> None:
    (phone / "sys/class/thermal/thermal_zone1/temp").chmod(0)
    program = phone / "probe"
    shutil.copy(tools, program)
    for path in (phone, *phone.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    found = probe(program, "--root", phone, preexec_fn=as_nobody())
    states = {s["path"]: s["state"] for s in found["sensors"]}
    assert states["/sys/class/thermal/thermal_zone1/temp"] == "denied"
    assert states["/sys/class/thermal/thermal_zone0/temp"] == "ok"


def test_capacity_where_no_clock_is_told(tools: Path, tmp_path: Path) -> None:
    for cpu, capacity in enumerate((446, 446, 1024)):
        folder = tmp_path / CPU / f"cpu{cpu}"
        folder.mkdir(parents=True)
        (folder / "cpu_capacity").write_text(f"{capacity}\n")
    (tmp_path / CPU / "online").write_text("0-1,2\n")
    assert probe(tools, "--root", tmp_path)["clusters"] == [
        {"cpus": [2], "capacity": 1024},
        {"cpus": [0, 1], "capacity": 446},
    ]


def test_an_empty_tree(tools: Path, tmp_path: Path) -> None:
    found = probe(tools, "--root", tmp_path)
    assert (found["features"], found["cpus_online"], found["clusters"], found["sensors"]) == ([], [], [], [])
    assert found["mem_total"] is None


def test_this_machine(tools: Path, tmp_path: Path) -> None:
    found = probe(tools, tmp_path)
    assert found["kernel"] == os.uname().release
    assert found["page_size"] == os.sysconf("SC_PAGESIZE")
    assert found["mem_total"] == os.sysconf("SC_PHYS_PAGES") * found["page_size"] or found["mem_total"] > 0
    assert len(found["cpus_online"]) >= len(os.sched_getaffinity(0))
    assert sorted(cpu for c in found["clusters"] for cpu in c["cpus"]) == found["cpus_online"]
    assert found["space"]["path"] == str(tmp_path)
    assert 0 < found["space"]["free"] <= found["space"]["total"]


def test_a_path_that_is_not_there_has_no_space(tools: Path, tmp_path: Path) -> None:
    space = probe(tools, tmp_path / "nowhere")["space"]
    assert space == {"path": str(tmp_path / "nowhere"), "free": None, "total": None}


@pytest.mark.parametrize("words", [("--surprise",), ("a", "b"), ("--root", "x", "a", "b")])
def test_usage(tools: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run([tools, "--probe", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
