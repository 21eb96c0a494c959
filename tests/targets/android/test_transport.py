"""Files and commands of a virtual phone over the real adb server: names that shells trip over, what a phone refuses."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mobench_targets.android.link import Server
from mobench_targets.android.transport import AdbTransport, connect

from mobench_lang.plugins import DeviceError
from tests.targets.android.conftest import Phone

HOME = "/data/local/tmp"
NAMES = st.text(
    st.one_of(
        st.sampled_from("'\"$`\\\n\r\t -*?[]{}()<>|&;!~#,=%"),
        st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)),
        st.integers(0x80, 0xFF).map(lambda byte: chr(0xDC00 + byte)),  # bytes that are no UTF-8
    ),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 200)
"""What a file may be called: anything but `/` and NUL, also what is no text."""


@pytest.fixture(scope="module", params=["pixel", "no_shell_v2"])
def phone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    """One phone for all names: with today's daemon, and with one that tells no exit status."""
    on = Phone(tmp_path_factory.mktemp("phone"), request.param)
    yield on
    on.end()
    shutil.rmtree(on.scratch, ignore_errors=True)


def linked(phone: Phone, story: Callable[[AdbTransport], Awaitable[Any]]) -> Any:
    """What a story comes to that is told over a link of its own."""

    async def told() -> Any:
        link = await connect(Server(int(phone.address["adb_port"])), str(phone.address["serial"]))
        try:
            return await asyncio.wait_for(story(link), 60)
        finally:
            await link.close()

    return asyncio.run(told())


def refusal(phone: Phone, story: Callable[[AdbTransport], Awaitable[Any]]) -> tuple[str, str]:
    """Code and text of the DeviceError that a story ends with."""
    with pytest.raises(DeviceError) as raised:
        linked(phone, story)
    return raised.value.code, str(raised.value)


@settings(max_examples=25, deadline=None)
@given(name=NAMES, data=st.binary(max_size=200))
@example(name="$(reboot)", data=b"a")
@example(name="`reboot`", data=b"")
@example(name="-rf", data=b"b")
@example(name="--", data=b"c")
@example(name='it\'s "so"', data=b"d")
@example(name="a\nb\n", data=b"e")
@example(name="\n", data=b"\n")
@example(name=" leading, trailing ", data=b"\r\n")
@example(name="*", data=b"f")
@example(name="Ä ネ 🙂 \u202e", data=b"g")
@example(name="\udcff\udc80", data=b"\0")
@example(name="x;rm -rf $HOME", data=b"h")
@example(name="0644,0777", data=b"i")
@example(name="#{x}", data=b"X4EXIT:0")
def test_a_name_comes_through_as_it_is(phone: Phone, name: str, data: bytes) -> None:
    folder = f"{HOME}/{secrets.token_hex(6)}"
    there = f"{folder}/{name}"
    local = phone.scratch / "local"
    local.mkdir(exist_ok=True)
    (local / "out").write_bytes(data)

    async def story(link: AdbTransport) -> None:
        assert (await link.run(f"mkdir {folder}")).rc == 0
        await link.push(local / "out", there)
        ran = await link.run(f"stat -c %s {quote(there)}")
        assert (ran.rc, ran.text) == (0, str(len(data)))
        ran = await link.run(f"md5sum <{quote(there)}")
        assert ran.text.split()[0] == hashlib.md5(data).hexdigest()
        # The folder holds this name and no other, whatever a shell could have made of it.
        assert os.listdir(os.fsencode(phone.root / folder.lstrip("/"))) == [os.fsencode(name)]  # noqa: PTH208
        await link.pull(there, local / "in")
        assert (local / "in").read_bytes() == data
        said = await link.run(f"printf %s {quote(name)} | md5sum; exit 7")
        assert said.text.split()[0] == hashlib.md5(os.fsencode(name)).hexdigest()
        assert said.rc == 7
        assert (await link.run(f"rm -f -- {quote(there)} && rmdir {folder}")).rc == 0
        assert not (phone.root / folder.lstrip("/")).exists()

    linked(phone, story)


@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=3000), status=st.integers(0, 255))
@example(data=b"\0\r\n\xff", status=255)
def test_input_output_and_status_come_through_as_they_are(phone: Phone, data: bytes, status: int) -> None:
    async def story(link: AdbTransport) -> None:
        ran = await link.run(f"cat; echo e >&2; exit {status}", stdin=data)
        assert (ran.rc, ran.stdout, ran.stderr) == (status, data, b"e\n")

    linked(phone, story)


# ---------------------------------------------------------------- what a phone refuses


def test_what_is_not_there_and_what_may_not_be_read(phone: Phone) -> None:
    hidden = phone.root / "data/local/tmp/hidden"
    hidden.write_bytes(b"secret")
    hidden.chmod(0)
    goal = phone.scratch / "pulled"
    assert refusal(phone, lambda link: link.pull(f"{HOME}/none", goal)) == (
        "pull_failed", "the device refuses: open failed: No such file or directory",
    )  # fmt: skip
    assert refusal(phone, lambda link: link.pull(f"{HOME}/hidden", goal)) == (
        "pull_failed", "the device refuses: open failed: Permission denied",
    )  # fmt: skip
    assert not goal.exists()
    assert [path for path in phone.scratch.iterdir() if path.name.startswith(".pulled")] == []
    ran = linked(phone, lambda link: link.run(f"cat {HOME}/hidden"))
    assert (ran.rc, ran.stdout, ran.fault.endswith("Permission denied")) == (1, b"", True)


def test_where_nothing_may_be_written(phone: Phone, tmp_path: Path) -> None:
    folder = phone.root / "data/local/tmp/locked"
    folder.mkdir()
    folder.chmod(0o555)
    (tmp_path / "model").write_bytes(os.urandom(3_000_000))
    assert refusal(phone, lambda link: link.push(tmp_path / "model", f"{HOME}/locked/model")) == (
        "push_failed", "the device refuses: couldn't create file: Permission denied",
    )  # fmt: skip
    assert list(folder.iterdir()) == []


def test_a_full_phone_says_so_and_keeps_no_piece(phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(3_000_000))
    phone.ask("set", quota=1_000_000)
    try:
        code, text = refusal(phone, lambda link: link.push(tmp_path / "model", f"{HOME}/model"))
    finally:
        phone.ask("set", quota=None)
    assert (code, text) == (
        "no_space", "the device has no room left: write failed: No space left on device",
    )  # fmt: skip
    for _ in range(200):  # the daemon tidies up when it hears that the host gave up
        if not (phone.root / "data/local/tmp/model").exists():
            return
        time.sleep(0.02)
    pytest.fail("a piece of the file is still there")


@pytest.mark.parametrize("fault", ["drop_push", "drop_pull"])
def test_a_link_that_breaks_amid_a_file(phone: Phone, tmp_path: Path, fault: str) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "model").write_bytes(data)
    there = phone.root / "data/local/tmp/model"
    if fault == "drop_pull":
        there.write_bytes(data)

    async def story(link: AdbTransport) -> None:
        if fault == "drop_push":
            await link.push(tmp_path / "model", f"{HOME}/model")
        else:
            await link.pull(f"{HOME}/model", tmp_path / "back")

    phone.ask("set", **{fault: 1_000_000})
    code, text = refusal(phone, story)
    assert (code, "is gone" in text) == ("lost", True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]  # no piece of it under any name
    # Once it is back, the same goes through.
    linked(phone, story)
    assert (there if fault == "drop_push" else tmp_path / "back").read_bytes() == data
    there.unlink()
