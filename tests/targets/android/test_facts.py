"""What a phone's answer means."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobench_targets.android.facts import BAR, cpu_list, heat_scale, parse, platform

PIXEL = {
    "props": "[ro.serialno]: [SECRET123]\n[ro.product.model]: [Pixel 8]\n[ro.product.manufacturer]: [Google]\n"
    "[ro.soc.model]: [Tensor G3]\n[ro.build.version.sdk]: [34]\n[ro.build.version.release]: [14]\n"
    "[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\n[ro.mobench.simulated]: [1]\n",
    "cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n",
    "meminfo": "MemTotal:        7812348 kB\nMemFree:          123 kB\n",
    "kernel": "5.15.137-android14\n",
    "policies": "0 1 2 3 : 1704000 : /p/policy0\n4 5 6 7 : 2367000 : /p/policy4\n8 : 2914000 : /p/policy8\n",
    "allowed": "\t0-8\n",
    "zones": "/z/0 41500 BIG\n/z/1 denied modem\n/z/2 384 battery\n/z/3 0 usb\n/z/4 33 VIRTUAL-SKIN\n",
    "supplies": "/s/usb USB online 1\n/s/battery Battery current_now -350000\n/s/battery Battery status Discharging\n"
    "/s/battery Battery voltage_now denied\n/s/bms Battery current_now 0\n",
    "rails": "rail /iio0\nt=349894\nCH0(T=349894)[VSYS_PWR_MODEM], 105\nCH3(T=349894)[S2M_VDD_CPUCL2], 30203502\n"
    "rail /iio1\ndenied\n",
    "df": "/dev/block/dm-9 112G 52428800 60000000 47% /data\n",
    "uid": "2000\n",
    "page": "4096\n",
    "pressure": "cpu some\nmemory denied\n",
}


def answer(changes: Mapping[str, str]) -> str:
    return "".join(f"{part}{BAR}\n" for part in (PIXEL | changes).values())


def test_a_pixel() -> None:
    phone = parse(answer({}))
    facts = phone.facts
    assert "SECRET123" not in str(facts)
    assert facts["identity"].startswith("android-")
    assert (facts["cpu"], facts["os"], facts["api"], facts["simulated"]) == ("Tensor G3", "Android 14", 34, True)
    assert facts["clusters"] == [[8], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert facts["max_freq_hz"] == [2_914_000_000, 2_367_000_000, 1_704_000_000]
    assert facts["ram_bytes"] == 7_812_348 * 1024
    assert facts["platform"] == "android-arm64+dotprod"
    assert facts["free_kib"] == 60_000_000
    assert [(z.type, z.scale) for z in phone.zones] == [
        ("BIG", 1), ("modem", None), ("battery", 100), ("usb", None), ("VIRTUAL-SKIN", 1000),
    ]  # fmt: skip
    assert phone.soc_zone is not None and phone.soc_zone.type == "BIG"
    assert [(r.path, r.name, r.after) for r in phone.rails] == [
        ("/iio0/energy_value", "VSYS_PWR_MODEM", "[VSYS_PWR_MODEM],"),
        ("/iio0/energy_value", "S2M_VDD_CPUCL2", "[S2M_VDD_CPUCL2],"),
    ]
    assert phone.supply == "/s/battery"
    assert phone.gauge == {"current_now": "-350000", "status": "Discharging"}
    assert phone.denied == ("modem", "usb", "battery voltage_now", "power rails", "pressure memory")
    assert phone.pressure == ("cpu",)


def test_what_the_shell_may_not_use_is_left_out() -> None:
    facts = parse(answer({"allowed": "4-5,8", "policies": PIXEL["policies"].replace("2914000", "")})).facts
    assert facts["clusters"] == [[4, 5], [8]]
    assert facts["max_freq_hz"] == [2_367_000_000, None]
    facts = parse(answer({"policies": ""})).facts
    assert facts["clusters"] == [list(range(9))]


def test_an_old_phone_with_crlf_and_no_tools() -> None:
    facts = parse(answer({"page": "", "rails": "", "zones": "", "supplies": ""}).replace("\n", "\r\n")).facts
    assert (facts["page_size"], facts["energy_counters"], facts["temperature_sensors"]) == (None, [], [])


def test_a_torn_answer_is_no_phone() -> None:
    with pytest.raises(ValueError, match="parts"):
        parse(answer({})[: -len(BAR) - 10])


def test_platforms() -> None:
    assert platform("Features\t: fp asimd\n", "arm64-v8a") == "android-arm64"
    assert platform("", "") == "android-arm64"
    with pytest.raises(ValueError, match="armeabi-v7a; the measuring runner needs arm64-v8a"):
        platform("", "armeabi-v7a")


@pytest.mark.parametrize(
    ("raw", "scale"),
    [("41500", 1), ("415", 100), ("41", 1000), ("0", None), ("-40000", 1), ("", None), ("x", None), ("999999", None)],
)
def test_heat_scales(raw: str, scale: int | None) -> None:
    assert heat_scale(raw) == scale


@given(st.sets(st.integers(0, 64), max_size=12))
def test_lists_of_cpus(cpus: set[int]) -> None:
    assert cpu_list(",".join(map(str, sorted(cpus)))) == cpus
    assert cpu_list(" ".join(map(str, cpus))) == cpus
    if cpus:
        assert cpu_list(f"{min(cpus)}-{max(cpus)}") == set(range(min(cpus), max(cpus) + 1))
