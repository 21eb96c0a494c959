"""What `uhubctl` prints, and what is understood of it: by the texts of its source, and by the real program."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobench_targets.android import found, link, uhubctl
from mobench_targets.android.uhubctl import Hub, HubPort, Port, hangs, hub_port, parse
from mobench_targets.android.virtual import hub

from mobench_lang.packs import manifests
from mobench_lang.plugins import DeviceError

PHONE = "18d1:4ee7 Google Pixel 8 37041FDJH000XY"
SWITCHED = f"""\
Current status for hub 1-1.4 [2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 2: 0503 power highspeed enable connect [{PHONE}]
Sent power off request
New status for hub 1-1.4 [2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 2: 0000 off
Current status for hub 2-1.4 [2109:0813 VIA Labs, Inc. USB3.0 Hub, USB 3.20, 4 ports, ppps]
  Port 2: 02a0 power 5gbps Rx.Detect
Sent power off request
New status for hub 2-1.4 [2109:0813 VIA Labs, Inc. USB3.0 Hub, USB 3.20, 4 ports, ppps]
  Port 2: 0080 off
"""


def test_the_end_of_an_answer_counts() -> None:
    usb2, usb3 = parse(SWITCHED)
    assert (usb2.location, usb2.switching, usb2.ports) == ("1-1.4", "ppps", {2: Port(False, False)})
    assert (usb3.location, usb3.ports) == ("2-1.4", {2: Port(False, False)})


def test_every_word_of_a_port() -> None:
    said = f"""\
Current status for hub 1 [1d6b:0002 Linux 6.1.0 xhci-hcd xHCI [Host] Controller 0000:00:14.0, USB 2.00, 3 ports, nops]
  Port 1: 0507 power highspeed suspend enable connect [{PHONE}]
  Port 2: 0080
  Port 3: 0103 power enable connect []
"""
    (root,) = parse(said)
    assert (root.location, root.switching) == ("1", "nops")
    assert root.ports == {1: Port(True, True, PHONE), 2: Port(False, False), 3: Port(True, True, "")}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "uhubctl says nothing of any hub: ''"),
        ("  Port 1: 0100 power\n", "uhubctl says nothing of any hub: '  Port 1: 0100 power\\n'"),
        (
            "Current status for hub 1-1 [x]\n  Port 1: fffffffc power\n",
            "uhubctl cannot read port 1: 'Port 1: fffffffc power'",
        ),
    ],
)
def test_what_is_no_answer(said: str, why: str) -> None:
    with pytest.raises(DeviceError) as error:
        parse(said)
    assert str(error.value) == why


@given(st.text())
def test_any_text_is_hubs_or_an_error(said: str) -> None:
    with suppress(DeviceError):  # and no other exception
        assert parse(said)


# ---------------------------------------------------------------- places


PATTERN = manifests("target")["android"].parameters["hub_port"].pattern
LEVELS = st.integers(1, 99)
PLACES = st.builds(
    lambda bus, levels, port: f"{bus}{'-' if levels else ''}{'.'.join(map(str, levels))}:{port}",
    st.integers(1, 999), st.lists(LEVELS, max_size=7), st.integers(1, 14),
)  # fmt: skip


@given(PLACES)
def test_a_place_comes_back_as_it_was_written(text: str) -> None:
    place = hub_port(text)
    assert str(place) == text
    assert place.command("on") == f"uhubctl -l {place.location} -p {place.port} -a on"


@pytest.mark.parametrize(
    "text",
    [
        "", "1-1.4", ":2", "1-1.4:", "1-1.4:0", "1-1.4:15", "1-1.4:02", "01-1:2", "1-1.:2", "1--1:2", "1-1.4:2 ",
        "1-1.4:2\n", "-l:2", "1-1.4:-a", "1-1.4:2,3", "1-1.4:2-4", "1-1.4:all", "1-1.4:$(reboot)", "١-١:٢", "1-1.4:²",
        "1:2:3", "1-1.2.3.4.5.6.7.8:1", "1-0:1",
    ],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(DeviceError) as error:
        hub_port(text)
    assert error.value.code == "bad_hub_port"


@given(st.one_of(PLACES, st.text(alphabet="0123456789-.:al \n$;"), st.from_regex(PATTERN, fullmatch=True)))
def test_the_checker_and_the_target_agree(text: str) -> None:
    """Nothing is a place that `check` did not take: addresses come beside a plan, too."""
    checked = re.fullmatch(PATTERN, text) is not None
    try:
        place = hub_port(text)
    except DeviceError:
        assert not checked
    else:
        assert checked and str(place) == text


def test_where_a_phone_hangs() -> None:
    hubs = [Hub("1-1.4", "", {1: Port(True, False), 2: Port(True, True, PHONE)}), Hub("3", "", {7: Port(True, True)})]
    assert hangs(hubs, "37041FDJH000XY") == HubPort("1-1.4", 2)
    assert hangs(hubs, "37041FDJH000X") is None  # a part of another's serial
    assert hangs(hubs, "") is None
    assert hangs(hubs, "", "3-7") == HubPort("3", 7)
    assert hangs(hubs, "", "1-1.4.1") == HubPort("1-1.4", 1)
    assert hangs(hubs, "", "1-1.5") is None


def test_what_adb_says_of_cables() -> None:
    listed = (
        "37041FDJH000XY         device usb:1-1.4.2 product:shiba model:Pixel_8 device:shiba transport_id:3\n"
        "192.168.1.5:5555       device product:shiba model:Pixel_8 device:shiba transport_id:4\n"
        "usb:fake               offline transport_id:5\n"
        "0123456789             no permissions (missing udev rules?); see [http://developer.android.com] usb:3-2\n"
        "\n"
    )
    assert link.parse_usb(listed) == {"37041FDJH000XY": "1-1.4.2", "0123456789": "3-2"}


@pytest.mark.parametrize(
    ("serial", "network"),
    [
        ("192.168.1.5:5555", True),
        ("adb-37041FDJH000XY-aBcDeF._adb-tls-connect._tcp", True),
        ("adb-37041FDJH000XY-aBcDeF._adb-tls-connect._tcp.", True),
        ("37041FDJH000XY", False),
        ("emulator-5554", False),
    ],
)
def test_which_serials_are_of_the_network(serial: str, network: bool) -> None:
    assert found.over_network(serial) is network


# ---------------------------------------------------------------- the program


@pytest.mark.parametrize("kind", hub.KINDS)
def test_the_stand_in_prints_what_is_understood(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    hub.build(tmp_path, kind, PHONE)
    listed = asyncio.run(uhubctl.find(str(tmp_path)).hubs(any_kind=True)) if kind != "denied" else []
    assert hub.main(tmp_path, ["-f"]) == (1 if kind == "denied" else 0)
    printed = capsys.readouterr().out
    assert (parse(printed) if kind != "denied" else []) == listed
    for one in listed:
        assert one.switching == (kind if kind in ("ganged", "nops") else "ppps")
        assert one.ports[1] == Port(True, False)
    if listed:
        assert listed[0].ports[2] == Port(True, True, PHONE)


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("exit 3", "hub_failed", "uhubctl ended with 3: "),
        ("echo no USB >&2; exit 1", "hub_failed", "uhubctl ended with 1: no USB"),
        ("kill -9 $$", "hub_failed", "uhubctl ended with -9: "),
        ("echo nonsense", "hub_unreadable", "uhubctl says nothing of any hub: 'nonsense\\n'"),
        ("echo x; echo broken >&2", "hub_unreadable", "uhubctl says nothing of any hub: 'x\\n'; broken"),
        ("exec sleep 100", "hub_slow", "uhubctl did not end within 0.5 s; is the hub alive?"),
    ],
)
def test_a_program_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, code: str, said: str
) -> None:
    monkeypatch.setattr(uhubctl, "TIMEOUT_S", 0.5)
    program = tmp_path / "uhubctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(DeviceError) as error:
        asyncio.run(uhubctl.find().hubs())
    assert (error.value.code, str(error.value)) == (code, said)


def test_the_arguments_are_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "uhubctl"
    program.write_text(f'#!/bin/sh\nfor word; do echo "$word" >>{tmp_path}/words; done\necho "{SWITCHED}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    asyncio.run(uhubctl.find().switch(HubPort("1-1.4", 2), on=False))
    assert (tmp_path / "words").read_text().split() == ["-l", "1-1.4", "-p", "2", "-r", "100", "-a", "off"]


def test_the_real_program() -> None:
    """On a machine without such hubs it refuses in the words that are understood; with them, they are listed."""
    try:
        program = uhubctl.find()
    except DeviceError:
        pytest.fail("uhubctl is missing: python3 .ci/setup.py tools installs the packages of the tests")
    for location, any_kind in (("", False), ("99-1.4", False), ("", True)):
        try:
            listed = asyncio.run(program.hubs(location, any_kind=any_kind))
        except DeviceError as error:
            if error.code != "hub_denied":
                raise
        else:
            assert all(one.ports and one.switching for one in listed)
            assert not (listed and location)
