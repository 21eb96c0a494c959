"""The store on the device: by content, without a byte for what is there, and never more than fits."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.plugins import DeviceError, Weights
from tests.targets.shell.conftest import Box


def push(box: Box, *files: Weights, **options: Any) -> list[str]:
    """Push files in one session; their paths on the device."""

    async def story() -> list[str]:
        session = box.session(**options)
        return [await session.push(file) for file in files]

    return asyncio.run(story())


def stored(box: Box) -> set[str]:
    return {path.name for path in (box.root / "store").iterdir() if path.suffix not in {".ok"}}


def test_a_file_arrives_whole_and_is_never_sent_again(box: Box) -> None:
    file = box.weights(os.urandom(70_000), "it's $(reboot)\n.gguf")
    [path] = push(box, file)
    assert Path(path).read_bytes() == file.path.read_bytes()
    assert Path(path).name == file.sha256
    assert push(box, file) == [path]
    assert box.link.moved == 0
    # Where the folder is, and whether the file is there.
    assert len(box.link.log) == 2


def test_the_same_content_under_another_name_is_the_same_file(box: Box) -> None:
    a, b = box.weights(b"same" * 1000, "a.gguf"), box.weights(b"same" * 1000, "b.gguf")
    first, second = push(box, a, b)
    assert first == second
    assert box.link.moved == 4000


def test_a_file_that_was_changed_on_the_device_is_sent_anew(box: Box) -> None:
    file = box.weights(b"right" * 1000)
    [path] = push(box, file)
    Path(path).write_bytes(b"wrong" * 1000)
    os.utime(path, (1, 1))
    push(box, file)
    assert Path(path).read_bytes() == b"right" * 1000


def test_a_file_whose_note_is_lost_is_hashed_there_and_not_sent(box: Box) -> None:
    file = box.weights(b"right" * 1000)
    [path] = push(box, file)
    Path(path + ".ok").unlink()
    push(box, file)
    assert box.link.moved == 0
    assert Path(path + ".ok").is_file()


def test_what_arrives_with_other_content_is_refused_and_cleared(box: Box) -> None:
    file = box.weights(b"x" * 1000)
    lie = Weights(file.path, hashlib.sha256(b"y").hexdigest(), 1000, "made")
    with pytest.raises(DeviceError) as refused:
        push(box, lie)
    assert refused.value.code == "changed_on_the_way"
    assert stored(box) == set()


def test_a_push_that_the_device_has_no_room_for_is_cleared(box: Box) -> None:
    async def story() -> None:
        session = box.session()
        box.link.full_after = 500
        with pytest.raises(DeviceError) as full:
            await session.push(box.weights(b"x" * 1000))
        assert full.value.code == "no_space"

    asyncio.run(story())
    assert stored(box) == set()


def test_a_part_that_a_lost_link_left_is_cleared_by_the_next_push(box: Box) -> None:
    (box.root / "store").mkdir(parents=True)
    (box.root / "store" / f"{'0' * 64}.part").write_bytes(b"half")
    push(box, box.weights(b"x" * 1000))
    assert not any(name.endswith(".part") for name in stored(box))


def free(box: Box, kib: int) -> None:
    """Let the device say that so much is free."""
    (box.folder / "bin" / "df").unlink(missing_ok=True)
    script = box.folder / "bin" / "df"
    script.write_text(
        f"#!/bin/sh\necho Filesystem 1K-blocks Used Available Use% Mounted\necho x 9999999 5 {kib} 1% /d\n"
    )
    script.chmod(0o755)


def test_what_cannot_fit_is_refused_before_a_byte_is_sent(box: Box) -> None:
    free(box, 70_000)  # of which 64 MiB are to stay free
    with pytest.raises(DeviceError) as refused:
        push(box, box.weights(b"x" * 6_000_000))
    assert refused.value.code == "no_space"
    assert "needs 70 MiB on the device, 68 MiB are free" in str(refused.value)
    assert box.link.moved == 0


def used_at(box: Box, file: Weights, when: int) -> None:
    os.utime(box.root / "store" / f"{file.sha256}.ok", (when, when))


def test_the_quota_throws_out_what_was_used_longest_ago(box: Box) -> None:
    old, newer, new = (box.weights(bytes([n]) * 1000, f"{n}.gguf") for n in range(3))
    push(box, old, newer)
    used_at(box, old, 2_000)
    used_at(box, newer, 1_000)
    push(box, new, quota=2500)
    assert stored(box) == {old.sha256, new.sha256}


def test_what_the_plan_needs_is_never_thrown_out(box: Box) -> None:
    needed, other, new = (box.weights(bytes([n]) * 1000, f"{n}.gguf") for n in range(3))
    push(box, needed, other)
    used_at(box, needed, 1_000)
    used_at(box, other, 2_000)
    (box.scripts / "jobs.jsonl").write_text(json.dumps({"model": {"sha256": needed.sha256}}) + "\n")
    push(box, new, quota=2500)
    assert stored(box) == {needed.sha256, new.sha256}
    last = box.weights(b"z" * 1000, "last.gguf")
    with pytest.raises(DeviceError, match="raise the quota") as refused:
        push(box, new, last, quota=2500)
    assert refused.value.code == "no_space"
    assert stored(box) == {needed.sha256, new.sha256}


@pytest.mark.parametrize("kept", ["sha1", "md5", None])
def test_a_device_without_sha256sum_compares_by_what_it_has(box: Box, kept: str | None) -> None:
    """Android 6 and 7 have sha1sum and md5sum alone."""
    names = {"sha256", "sha1", "md5"} - {kept}
    tools = {path.name: path for folder in box.path.split(":") for path in Path(folder).iterdir() if path.exists()}
    only = box.folder / "old"
    only.mkdir()
    for name, path in tools.items():
        if name not in {f"{kind}sum" for kind in names} and name not in {"toybox", "busybox"}:
            (only / name).symlink_to(path.resolve() if name != "sh" else path.readlink())
    box.path = str(only)
    file = box.weights(b"x" * 1000)
    if kept is None:
        with pytest.raises(DeviceError, match="none of sha256sum, sha1sum and md5sum"):
            push(box, file)
    else:
        [path] = push(box, file)
        assert Path(path).read_bytes() == b"x" * 1000


def test_weights_that_the_host_has_lost(box: Box) -> None:
    file = box.weights(b"x")
    file.path.unlink()
    with pytest.raises(DeviceError) as missing:
        push(box, file)
    assert missing.value.code == "artefact_missing"
