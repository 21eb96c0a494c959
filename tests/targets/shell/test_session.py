"""The session over real shells: start, wait in silence, collect; faults at every stage; nothing left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from mobench_lang.plugins import Launch
from tests.targets.shell.conftest import LIMITS, Box, MakeJob


def events(folder: Path) -> list[str]:
    return [json.loads(line)["e"] for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_launch_from_start_to_its_files(box: Box, fake_launch: Launch, make_job: MakeJob) -> None:
    async def story() -> None:
        session, folder = box.session(), box.trial("a")
        await session.facts()
        assert session.platform == "linux-test"
        await session.start(make_job(), fake_launch, folder, LIMITS)
        outcome = await session.wait()
        assert (outcome.status, outcome.reason) == ("ok", "")
        assert events(folder)[-1] == "end"
        assert (folder / "stderr.log").read_bytes() == b""
        await session.close()

    asyncio.run(story())
    assert list((box.root / "hosted").iterdir()) == []
    assert box.carriers() == []
