"""What the local target says of machines that tests do not have: fake trees of /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest
from mobench_targets.local import facts, sensors

CPUINFO = "processor\t: 0\nmodel name\t: {model}\nflags\t\t: fpu sse{flags}\n"
STAT = "cpu  100 20 30 1000 50 6 4 70 0 0\ncpu0 100 20 30 1000 50 6 4 70 0 0\nintr 5\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    """A tree of small files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """A hybrid laptop with sensors, cpufreq and RAPL."""
    files = {
        "etc/machine-id": "0123456789abcdef",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13"',
        "proc/cpuinfo": CPUINFO.format(model="Intel(R) Core(TM) Ultra", flags=""),
        "proc/meminfo": "MemTotal:       1000 kB\nMemAvailable:    600 kB\nSwapTotal:  100 kB\nSwapFree:  40 kB",
        "proc/loadavg": "0.52 0.40 0.30 1/200 1234",
        "proc/stat": STAT,
        "proc/sys/kernel/osrelease": "6.12.0",
        "sys/devices/system/cpu/online": "0-5",
        "sys/devices/cpu_core/cpus": "0-1",
        "sys/devices/cpu_atom/cpus": "2-5",
        "sys/class/dmi/id/sys_vendor": "LENOVO",
        "sys/class/dmi/id/product_name": "T14",
        "sys/class/hwmon/hwmon0/name": "nvme",
        "sys/class/hwmon/hwmon0/temp1_input": "38850",
        "sys/class/hwmon/hwmon1/name": "coretemp",
        "sys/class/hwmon/hwmon1/temp1_input": "52000",
        "sys/class/hwmon/hwmon1/temp1_label": "Package id 0",
        "sys/class/hwmon/hwmon1/temp2_input": "51000",
        "sys/class/hwmon/hwmon1/temp2_label": "Core 0",
        "sys/class/hwmon/hwmon2/name": "absent",
        "sys/class/hwmon/hwmon2/temp1_input": "0",
        "sys/class/thermal/thermal_zone0/type": "acpitz",
        "sys/class/thermal/thermal_zone0/temp": "27800",
        "sys/class/powercap/intel-rapl:0/name": "package-0",
        "sys/class/powercap/intel-rapl:0/energy_uj": "123456",
        "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
        "sys/class/powercap/intel-rapl:0:0/name": "core",
        "sys/class/powercap/intel-rapl:0:0/energy_uj": "999",
        "sys/class/powercap/intel-rapl:1/name": "psys",
        "sys/class/powercap/intel-rapl:1/energy_uj": "5",
    }
    for cpu in range(6):
        # Favoured cores differ a little: they are still of one kind.
        files[f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = str(
            (5_000_000 if cpu < 2 else 4_000_000) + cpu
        )
    for policy in (0, 2):
        folder = f"sys/devices/system/cpu/cpufreq/policy{policy}"
        files[f"{folder}/scaling_cur_freq"] = str(1_000_000 + policy)
        files[f"{folder}/scaling_governor"] = "powersave" if policy else "performance"
    return tree(tmp_path, files)


def test_facts_of_a_laptop(laptop: Path) -> None:
    found = facts.facts(laptop)
    assert found["cpu"] == "Intel(R) Core(TM) Ultra"
    assert (found["cores"], found["clusters"]) == (6, [[0, 1], [2, 3, 4, 5]])
    assert found["ram_bytes"] == 1000 * 1024
    assert (found["os"], found["kernel"], found["machine"]) == ("Debian GNU/Linux 13", "6.12.0", "LENOVO T14")
    assert found["governor"] == "performance,powersave"
    assert found["virtualised"] is False
    assert found["temperature_sensors"][:2] == ["soc_temp", "temp.coretemp_core_0"]
    assert set(found["temperature_sensors"]) == {"soc_temp", "temp.coretemp_core_0", "temp.acpitz", "temp.nvme_temp1"}
    assert (found["rapl"], found["energy_counters"]) == ("readable", ["energy.package-0"])
    assert found["energy_ranges_uj"] == {"energy.package-0": 262143328850}
    assert found["simulated"] is False


def test_state_of_a_laptop(laptop: Path) -> None:
    state = facts.state(laptop)
    assert state["temperature"] == 52_000
    assert state["temperatures"]["temp.nvme_temp1"] == 38_850
    assert state["load_1min"] == 0.52
    assert state["memory_available"] == 600 * 1024
    assert state["swap_used"] == 60 * 1024
    assert state["freq_hz"] == {"cpu_freq.policy0": 1_000_000_000, "cpu_freq.policy2": 1_000_002_000}
    assert facts.cpu_time(laptop) == (160 * sensors.TICK_NS, 70 * sensors.TICK_NS)


def test_the_identity_is_that_of_the_machine(laptop: Path) -> None:
    first = facts.identity(laptop)
    tree(laptop, {"proc/sys/kernel/osrelease": "7.0.0", "proc/loadavg": "9 9 9 1/2 3"})
    assert facts.identity(laptop) == first
    tree(laptop, {"etc/machine-id": "another"})
    assert facts.identity(laptop) != first
    assert "another" not in facts.identity(laptop)


def test_a_bare_container_has_no_sensors_and_says_so(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO.format(model="EPYC", flags=" hypervisor"),
            "sys/devices/system/cpu/online": "0-1",
            "proc/meminfo": "MemTotal: 8 kB",
        },
    )
    found = facts.facts(root)
    assert (found["virtualised"], found["rapl"], found["temperature_sensors"]) == (True, "absent", [])
    assert (found["governor"], found["machine"], found["kernel"]) == (None, None, None)
    assert found["clusters"] == [[0, 1]]
    assert facts.state(root)["temperature"] is None
    assert facts.state(root)["others_busy_ns"] is None


def test_a_board_tells_its_clusters_by_frequency_or_capacity(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    by_freq = {f"{cpu}/cpu{n}/cpufreq/cpuinfo_max_freq": "1800000" if n < 4 else "2400000" for n in range(6)}
    root = tree(tmp_path / "a", {f"{cpu}/online": "0-5", **by_freq})
    assert facts.clusters(root) == [[4, 5], [0, 1, 2, 3]]
    by_capacity = {f"{cpu}/cpu{n}/cpu_capacity": "414" if n < 4 else "1024" for n in range(6)}
    root = tree(tmp_path / "b", {f"{cpu}/online": "0-2,4-5", **by_capacity})
    assert facts.clusters(root) == [[4, 5], [0, 1, 2]]


def test_rapl_that_cannot_be_read(tmp_path: Path) -> None:
    root = tree(tmp_path, {"sys/class/powercap/intel-rapl:0/name": "package-0", "proc/cpuinfo": "x: y"})
    assert facts.facts(root)["rapl"] == "present, not readable"


def test_this_machine() -> None:
    found = facts.facts()
    assert found["cores"] >= 1
    assert found["ram_bytes"] > 0
    assert found["identity"].startswith("local-")
    assert facts.state()["t"] > 0
