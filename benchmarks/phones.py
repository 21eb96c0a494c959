"""What phones cost the host: a push beside `adb push`, a model that is there already, eight phones beside one.

Usage: python benchmarks/phones.py [ROUNDS [SECONDS]]. Writes benchmarks/results/phones.json. Phones are virtual: adb
daemons of our own behind real adb servers, whose processes run on this machine, too. Pushes of mobench and of
`adb push` take turns over the same server to the same phone; both replace a file that is there. The eight phones
replay a launch of SECONDS; the CPU time is that of `mobench exec` alone.
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
RESULT = ROOT / "benchmarks" / "results" / "phones.json"
MIB = 1 << 20
UPLOAD = 200 * MIB
PHONES = 8
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


async def pushes(phone: client.VirtualPhone, folder: Path, rounds: int) -> dict[str, Any]:
    """MiB/s of a file of random bytes, by the transport and by `adb push`."""
    source = folder / "push"
    source.write_bytes(os.urandom(UPLOAD))
    port, serial = int(phone.attributes["adb_port"]), str(phone.attributes["serial"])
    adb = [client.adb(), "-P", str(port), "-s", serial, "push", str(source), "/data/local/tmp/pushed"]
    link = await connect(Server(port), serial)
    spent: dict[str, list[float]] = {"mobench": [], "adb": []}
    quiet = asyncio.subprocess.DEVNULL
    try:
        for number in range(rounds + 1):
            for name in ("mobench", "adb") if number % 2 else ("adb", "mobench"):
                begun = time.monotonic()
                if name == "mobench":
                    await link.push(source, "/data/local/tmp/pushed")
                else:
                    done = await asyncio.create_subprocess_exec(*adb, stdout=quiet, stderr=quiet)
                    if await done.wait() != 0:
                        raise SystemExit("adb push failed")
                if number:  # the first of each fills the file and the caches
                    spent[name].append(time.monotonic() - begun)
        await link.run("rm -f /data/local/tmp/pushed")
    finally:
        await link.close()
        source.unlink()
    ratios = [b / a for a, b in zip(spent["mobench"], spent["adb"], strict=True)]
    return {
        "bytes": UPLOAD, "rounds": rounds, "ratio": round(median(ratios), 3), "least_ratio": round(min(ratios), 3),
        **{f"{name}_mib_s": round(UPLOAD / MIB / median(times), 1) for name, times in spent.items()},
    }  # fmt: skip


async def unchanged(phone: client.VirtualPhone, folder: Path, size: int = UPLOAD) -> dict[str, Any]:
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


def several(phones: list[client.VirtualPhone], folder: Path, seconds: int) -> dict[str, Any]:
    """Wall time and the host's CPU time of a launch on one phone, and on all beside each other."""
    found: dict[str, Any] = {"phones": len(phones), "launch_s": seconds}
    for name, used in (("one", phones[:1]), ("many", phones)):
        before = os.times()
        found[name] = exec_(folder / name, used, seconds)
        after = os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        found[name]["host_cpu_s"] = round(spent, 2)
    found["ratio"] = round(found["many"]["wall_s"] / found["one"]["wall_s"], 3)
    found["core_per_phone"] = round(found["many"]["host_cpu_s"] / len(phones) / found["many"]["wall_s"], 4)
    return found


def main() -> None:
    """Measure, write the results; exit status 1 where a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    found: dict[str, Any] = {"load_1min": round(os.getloadavg()[0], 2), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name, asyncio.Runner() as runner:
        folder = Path(name)
        phones = [runner.run(client.simulate("pixel", folder / "scratch0"))]
        try:
            found["push"] = runner.run(pushes(phones[0], folder, rounds))
            found["unchanged"] = runner.run(unchanged(phones[0], folder))
            while len(phones) < PHONES:
                phones.append(runner.run(client.simulate("pixel", folder / f"scratch{len(phones)}")))
            found["several"] = several(phones, folder, seconds)
        finally:
            for phone in phones:
                runner.run(phone.end())
    found["load_1min_after"] = round(os.getloadavg()[0], 2)
    RESULT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
    met = found["push"]["ratio"] >= 0.9 and found["unchanged"]["ms"] <= 300
    sys.exit(0 if met and found["several"]["ratio"] <= 1.1 and found["several"]["core_per_phone"] <= 0.05 else 1)


if __name__ == "__main__":
    main()
