"""A device whose storage is really full: a small tmpfs, which not every machine lets a test mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mobench_lang.plugins import DeviceError, Launch
from tests.targets.shell.conftest import LIMITS, Box, MakeJob
from tests.targets.shell.test_session import run


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_storage_that_a_launch_fills_still_says_how_it_ended(
    box: Box, small: Path, fake_launch: Launch, make_job: MakeJob
) -> None:
    box.kind.root = str(small / "root")

    async def story() -> None:
        session = box.session()
        with pytest.raises(DeviceError) as refused:
            await session.push(box.weights(b"x" * 900_000))
        assert refused.value.code == "no_space"
        # The instrument's log has 3 MB.
        await session.start(make_job("noisy"), fake_launch, box.trial("a"), LIMITS)
        outcome = await session.wait()
        assert (outcome.status, outcome.reason) == ("failed", "crashed")
        assert "write down" not in outcome.detail

        filler = small / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        session = box.session()
        with pytest.raises(DeviceError) as full:
            await session.start(make_job("ok", 1), fake_launch, box.trial("b"), LIMITS)
        assert full.value.code == "no_space"
        await session.restore()
        filler.unlink()
        await session.start(make_job("ok", 2), fake_launch, box.trial("c"), LIMITS)
        assert (await session.wait()).status == "ok"

    run(story)
    assert box.carriers() == []
