"""What `run.sh` finds on a phone when a person starts it: the sensors that `exec` would sample."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.android import kind
from mobench_targets.android.link import Server
from mobench_targets.android.transport import connect

from tests.targets.android.conftest import Phone, build

HERE = "/data/local/tmp/by hand"


@pytest.mark.parametrize("profile", ["pixel", "galaxy_ma", "inverted", "denied", "api26", "no_shell_v2"])
def test_what_is_sampled_is_what_exec_samples(
    fake_packs: None, tmp_path: Path, switch_on: Callable[[str], Phone], profile: str
) -> None:
    phone = switch_on(profile)
    script = (build(tmp_path, phone) / "phone/run.sh").read_bytes()

    async def story() -> None:
        link = await connect(Server(int(phone.address["adb_port"])), str(phone.address["serial"]))
        try:
            known = kind.PhoneKind()
            await known.facts(link)
            wanted = known.sampling()
            await link.run(f"mkdir -p '{HERE}/one' && cat >'{HERE}/run.sh'", stdin=script)
            ran = await link.run(
                f"cd '{HERE}' && echo '{{}}' >one/job.json && printf '#!/bin/sh\\n' >mobench-runner && "
                "chmod 755 mobench-runner && sh run.sh launch one && cat one/sample.json && echo @@ && "
                "cat one/guard.json"
            )
        finally:
            await link.close()
        assert ran.rc == 0, ran.fault
        described, guard = (json.loads(part) for part in ran.text.split("@@"))
        assert wanted is not None
        channels = [{k: v for k, v in asdict(c).items() if v is not None} for c in wanted.channels]
        assert by_name(described.pop("channels")) == by_name(channels)
        assert described == told(wanted.hz, wanted.slow_every)
        assert (guard["sample"], guard["lead_ns"]) == ("sample.json", wanted.lead_s * 1e9)

    asyncio.run(story())


def by_name(channels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Both list clusters as they come."""
    return sorted(channels, key=lambda c: str(c["name"]))


def told(hz: float, slow_every: int) -> dict[str, Any]:
    return {"version": 1, "out": "samples.jsonl", "hz": hz, "slow_every": slow_every, "until": "stdin"}
