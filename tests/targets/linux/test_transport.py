"""The link over SSH against a real sshd: commands, files, and every way in which it can fail."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import time
from pathlib import Path

import pytest
from mobench_targets.linux.connect import Address, address, connect
from mobench_targets.linux.virtual import VirtualBoard
from mobench_targets.shell.transport import Ran

from mobench_lang.ir import Entity
from mobench_lang.plugins import DeviceError
from tests.support.boards import code, link, story, where
from tests.support.ready import gone


def test_commands_keep_status_input_and_both_outputs(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        ran = await ssh.run("cat; echo it\\'s >&2; exit 7", stdin=b"\x00in\xff")
        assert (ran.rc, ran.stdout, ran.stderr) == (7, b"\x00in\xff", b"it's\n")
        assert (await ssh.run("kill -9 $$")).rc == 137
        assert await code(ssh.run("sleep 60", timeout=0.1)) == "slow"
        many = await asyncio.gather(*(ssh.run(f"echo {i}") for i in range(8)))
        assert [ran.text for ran in many] == [str(i) for i in range(8)]
        assert await ssh.hold("exit 3") == 3
        await ssh.close()
        await ssh.close()
        assert await code(ssh.run("true")) == "lost"

    story(tmp_path, "pi", told)


def test_commands_share_a_shell_and_leave_nothing_in_it(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        first = await ssh.run("export LEFT=1; umask 0; echo $PPID")
        assert (await ssh.run("echo $PPID ${LEFT-none}; umask")).text.split() == [first.text, "none", "0022"]
        assert (await ssh.run("exit 9")).rc == 9
        assert (await ssh.run("printf 'no line end\\n\\n'; printf x >&2")) == Ran(0, b"no line end\n\n", b"x")
        lines = b"".join(b"%d 'line' $HOME \\\\ \xc3\xbc\n" % number for number in range(20_000))
        assert (await ssh.run("cat", stdin=lines)).stdout == lines
        assert (await ssh.run("wc -c", stdin=b"no line end")).text == "11"
        assert (await ssh.run("head -c 3000000 /dev/zero")).stdout == bytes(3_000_000)
        assert (await ssh.run("echo $PPID")).text == first.text
        await ssh.close()

    story(tmp_path, "pi", told)


def test_a_command_that_takes_too_long_is_ended_with_its_shell(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        first = (await ssh.run("echo $PPID")).text
        pids = tmp_path / "pids"
        slow = asyncio.ensure_future(
            code(ssh.run(f"sleep 600 & echo $! >{pids}.part; mv {pids}.part {pids}; wait", timeout=2))
        )
        await asyncio.to_thread(_appears, pids)
        sleeper = int(pids.read_text())
        assert await slow == "slow"
        assert await asyncio.to_thread(gone, sleeper)
        assert (await ssh.run("echo $PPID")).text != first
        await ssh.close()

    story(tmp_path, "pi", told)


def test_what_a_login_shell_says_is_no_part_of_an_answer(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        await board.end()
        board.settings["ForceCommand"] = 'echo welcome; echo dear >&2; eval "$SSH_ORIGINAL_COMMAND"'
        await board.power_on()
        ssh = await link(board)
        assert await ssh.run("echo 7") == Ran(0, b"7\n", b"")
        await ssh.close()

    story(tmp_path, "pi", told)


@pytest.mark.parametrize("name", ["-rf", "it's $(reboot)", "two\nlines", "ü b"])
def test_files_go_and_come_whole(tmp_path: Path, name: str) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        data = hashlib.shake_256(name.encode()).digest(1_500_000)
        source, back, there = tmp_path / "source", tmp_path / "back", tmp_path / "there" / name
        source.write_bytes(data)
        there.parent.mkdir()
        seen: list[int] = []
        await ssh.push(source, str(there), mode=0o755, progress=seen.append)
        assert there.read_bytes() == data and there.stat().st_mode & 0o777 == 0o755
        assert seen == sorted(seen) and seen[-1] == len(data)
        await ssh.pull(str(there), back)
        assert back.read_bytes() == data
        assert await code(ssh.pull(str(there.with_name("absent")), back)) == "pull_failed"
        assert await code(ssh.push(source, str(tmp_path / "no folder" / "x"))) == "push_failed"
        await ssh.close()

    story(tmp_path, "pi", told)


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        source = tmp_path / "source"
        source.write_bytes(bytes(3_000_000))
        (tmp_path / "full").symlink_to("/dev/full")
        assert await code(ssh.push(source, str(tmp_path / "full"))) == "no_space"
        assert (await ssh.run("echo on")).text == "on"
        await ssh.close()

    story(tmp_path, "pi", told)


def test_a_connection_that_is_cut_is_lost_and_what_waits_learns_it_at_once(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        waiting = asyncio.ensure_future(ssh.hold(f"touch {tmp_path}/begun; sleep 600"))
        await asyncio.to_thread(_appears, tmp_path / "begun")
        board.cut()
        assert await code(waiting) == "lost"
        assert await code(ssh.run("true")) == "lost"
        again = await link(board)
        assert (await again.run("echo back")).text == "back"
        await again.close()

    story(tmp_path, "pi", told)


def test_a_silent_peer_is_lost_within_ten_seconds(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        waiting = asyncio.ensure_future(ssh.hold("sleep 600"))
        assert (await ssh.run("echo here")).text == "here"
        board.freeze()
        try:
            # The limit is what is promised; that it needs most of it is no fault.
            async with asyncio.timeout(10):
                assert await code(waiting) == "lost"
        finally:
            board.freeze(frozen=False)

    story(tmp_path, "pi", told)


def test_a_hold_that_is_given_up_lets_the_command_be(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        ssh = await link(board)
        command = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.02; done; touch {tmp_path}/done"
        waiting = asyncio.ensure_future(ssh.hold(command))
        await asyncio.to_thread(_appears, tmp_path / "begun")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        (tmp_path / "go").touch()
        await asyncio.to_thread(_appears, tmp_path / "done")
        await ssh.close()

    story(tmp_path, "pi", told)


def test_host_keys_are_never_taken_on_trust(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        known = board.folder / "known_hosts"
        text = known.read_text()
        known.write_text("")
        with pytest.raises(DeviceError, match=r"`ssh -F \S+ board` once shows it") as raised:
            await link(board)
        assert raised.value.code == "host_key_unknown"
        known.write_text(text)
        await board.new_host_key()
        with pytest.raises(DeviceError, match="ssh-keygen -R") as raised:
            await link(board)
        assert raised.value.code == "host_key_changed"

    story(tmp_path, "pi", told)


def test_keys_that_do_not_open_the_board_say_what_to_do(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        (board.folder / "authorized_keys").write_text("")
        with pytest.raises(DeviceError, match="ssh-copy-id") as raised:
            await link(board)
        assert raised.value.code == "permission_denied"
        lock = ["ssh-keygen", "-q", "-p", "-N", "secret", "-P", "", "-f", str(board.folder / "user_key")]
        subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
        with pytest.raises(DeviceError, match="ssh-add") as raised:
            await link(board)
        assert raised.value.code == "permission_denied"
        (board.folder / "ssh_config").write_text("Host board\n    Port many\n")
        assert await code(link(board)) == "bad_ssh_config"

    story(tmp_path, "pi", told)


def test_hosts_that_are_not_there(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        await board.end()
        assert await code(link(board)) == "not_found"
        assert await code(connect(Address("no-such-host.invalid"))) == "not_found"

    story(tmp_path, "pi", told)


def test_by_way_of_another_host(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        # The way leads through the board itself, whose sshd then has to let it.
        await board.end()
        board.settings["AllowTcpForwarding"] = "yes"
        await board.power_on()
        both = board.folder / "ssh_config"
        text = both.read_text()
        both.write_text(text + text.replace("Host board", "Host behind") + "    ProxyJump board\n")
        ssh = await connect(Address("behind", config=str(both)))
        assert (await ssh.run("echo through")).text == "through"
        await ssh.close()

    story(tmp_path, "pi", told)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("host", Address("host")),
        ("me@host", Address("host", "me")),
        ("me@host:2222", Address("host", "me", 2222)),
        ("[fe80::1]:22", Address("fe80::1", None, 22)),
        ("fe80::1", Address("fe80::1")),
    ],
)
def test_addresses(given: str, found: Address) -> None:
    device = Entity(kind="device", name="b", base="linux", pack="linux", attrs=(("serial", given),))
    assert address(device) == found


@pytest.mark.parametrize("given", ["", "me@", "host:", "host:port", ":22"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(DeviceError, match="is no address"):
        address(Entity(kind="device", name="b", base="linux", pack="linux", attrs=(("serial", given),)))


def test_a_device_without_an_address_says_how_to_give_one() -> None:
    with pytest.raises(DeviceError, match="--device b="):
        address(Entity(kind="device", name="b", base="linux", pack="linux", attrs=()))


def _appears(path: Path) -> None:
    last = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < last, f"{path} does not appear"
        time.sleep(0.01)


def test_the_address_of_a_board_is_that_of_its_files(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        assert where(board).words == f"-F {board.folder}/ssh_config board"

    story(tmp_path, "pi", told)
