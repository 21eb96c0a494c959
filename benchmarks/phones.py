"""What many phones cost the host, on virtual phones that replay a launch in time.

`python benchmarks/phones.py [PHONES] [SECONDS]`: in: nothing. Out: JSON on standard output: wall time of an `exec` with
one phone and with several, CPU time of the host's process beside the length of the run, and what it takes to find that
a model is on a phone already, with the bytes that crossed the link. The phones' own processes run on the same machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from mobench_targets.android.link import Server
from mobench_targets.android.transport import connect
from mobench_targets.android.virtual import client
from mobench_targets.shell.store import Store

from mobench_lang.plugins import Weights

ROOT = Path(__file__).parents[1]
SPEC = """mobench 1
model m {{ source = path("m.gguf") }}
{devices}
bench study {{
  model = m
  engine = fake {{ behave = "pace" }}
  matrix {{ device in [{names}] }}
  workload = generate(prompt = 8, output = 1)
  run {{ warmup = 0, repeat = {seconds}, isolation = cell, order = sequential }}
  measure load_time
}}
"""


def spec(phones: list[client.VirtualPhone], seconds: int) -> str:
    names = [f"p{number}" for number in range(len(phones))]
    places = [(at.attributes["serial"], at.attributes["adb_port"]) for at in phones]
    devices = "\n".join(
        f'device {name} {{ target = android, serial = "{serial}", adb_port = {port} }}'
        for name, (serial, port) in zip(names, places, strict=True)
    )
    return SPEC.format(devices=devices, names=", ".join(names), seconds=seconds)


def exec_(folder: Path, phones: list[client.VirtualPhone], seconds: int) -> dict[str, float]:
    """An `exec` of its own; its wall time and CPU time in s."""
    folder.mkdir()
    (folder / "m.gguf").write_bytes(b"weights")
    (folder / "study.bench").write_text(spec(phones, seconds))
    packs = os.pathsep.join([str(ROOT / "tests/support/packs"), str(ROOT)])
    env = os.environ | {"PYTHONPATH": packs}
    mobench = [sys.executable, "-m", "mobench_lang.cli.main"]
    subprocess.run([*mobench, "compile", "study.bench"], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    begun = time.monotonic()
    done = subprocess.run([*mobench, "exec"], cwd=folder, env=env, capture_output=True, text=True, check=False)
    wall = time.monotonic() - begun
    if done.returncode != 0:
        raise SystemExit(f"exec failed: {done.stderr}")
    return {"wall_s": round(wall, 2)}


async def unchanged(phone: client.VirtualPhone, folder: Path, size: int = 200 << 20) -> dict[str, Any]:
    """A model that is there: ms to find that out, and what crossed the link."""
    data = os.urandom(size)
    path = folder / "big.gguf"
    path.write_bytes(data)
    weights = Weights(path, hashlib.sha256(data).hexdigest(), size, "made")
    port, serial = phone.attributes["adb_port"], str(phone.attributes["serial"])
    link = await connect(Server(int(port)), serial)
    try:
        store = Store(link, "/data/local/tmp/mobench")
        await store.put(weights, ())
        times = []
        await phone.ask("frames")
        for _ in range(20):
            begun = time.monotonic()
            await store.put(weights, ())
            times.append((time.monotonic() - begun) * 1e3)
        frames = (await phone.ask("frames"))["frames"]
    finally:
        await link.close()
    crossed = sum(size for _, _, _, size in frames) / len(times)
    return {"ms": round(median(times), 1), "most_ms": round(max(times), 1), "bytes_of_commands": round(crossed)}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as name, asyncio.Runner() as runner:
        folder = Path(name)
        phones = [runner.run(client.simulate("pixel", folder / f"scratch{n}")) for n in range(count)]
        try:
            found: dict[str, Any] = {"phones": count, "launch_s": seconds, "load": os.getloadavg()[0]}
            found["unchanged_model"] = runner.run(unchanged(phones[0], folder))
            before = os.times()
            found["one"] = exec_(folder / "one", phones[:1], seconds)
            between = os.times()
            found["several"] = exec_(folder / "several", phones, seconds)
            after = os.times()
            for name_, a, b in (("one", before, between), ("several", between, after)):
                spent = b.children_user - a.children_user + b.children_system - a.children_system
                found[name_]["host_cpu_s"] = round(spent, 2)
            found["ratio"] = round(found["several"]["wall_s"] / found["one"]["wall_s"], 3)
            per = found["several"]["host_cpu_s"] / count / found["several"]["wall_s"]
            found["core_per_device"] = round(per, 4)
        finally:
            for phone in phones:
                runner.run(phone.end())
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
