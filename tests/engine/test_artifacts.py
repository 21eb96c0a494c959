"""Weights: local files, the hub's files, derived quants."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.engines.llama_cpp import artifacts, engine, gguf_file, hub, library
from mobench_lang.ir import Entity
from mobench_lang.packs import Manifest, manifests
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError, PlatformError, Weights
from mobench_lang.protocol import JobEngine
from tests.support.gguf_maker import make
from tests.support.hub_server import COMMIT, Hub, serve


def artifact(location: Path | str, quant: str | None = None, **given: Any) -> PlanArtifact:
    return PlanArtifact(
        **({"key": "k", "model": "m", "quant": quant, "source": "path", "location": str(location)} | given)
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rejects(wanted: PlanArtifact, cache: Path, *words: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        engine.obtain(wanted, cache)
    for word in words:
        assert word in str(caught.value)


# ---------------------------------------------------------------- local files


def test_a_local_file_as_published(tiny: Path, tmp_path: Path) -> None:
    for quant in (None, "F16"):
        found = engine.obtain(artifact(tiny, quant), tmp_path)
        assert (found.path, found.sha256, found.size) == (tiny, sha256(tiny), tiny.stat().st_size)
        assert "as published (F16)" in found.note


def test_a_local_file_that_will_not_do(tiny: Path, tmp_path: Path) -> None:
    rejects(artifact(tmp_path / "none.gguf"), tmp_path, "does not exist", "none.gguf")
    rejects(artifact(tiny, sha256="0" * 64), tmp_path, "has changed", "0" * 64, sha256(tiny))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:-100])
    rejects(artifact(cut), tmp_path, "cut off")
    shard = tmp_path / "m-00001-of-00002.gguf"
    shard.write_bytes(tiny.read_bytes())
    rejects(artifact(shard), tmp_path, "one part of a split model")
    rejects(artifact("std/none.gguf", "Q8_0", source="bundled"), tmp_path, "not shipped")


# ---------------------------------------------------------------- derived quants


@pytest.mark.parametrize("quant", ["Q8_0", "Q4_K_M", "IQ4_NL", "BF16"])
def test_a_quant_is_derived_once(tiny: Path, tmp_path: Path, quant: str) -> None:
    first = engine.obtain(artifact(tiny, quant), tmp_path)
    assert gguf_file.read(first.path).quant == quant
    assert first.path.parent == tmp_path / "artifacts" / sha256(tiny)
    assert first.path.name.startswith(f"{quant}-llama.cpp-{library.commit()}-")
    assert first.sha256 == sha256(first.path)
    written = first.path.stat().st_mtime_ns
    again = engine.obtain(artifact(tiny, quant), tmp_path)
    assert (again, again.path.stat().st_mtime_ns) == (first, written)
    assert {p.suffix for p in first.path.parent.iterdir()} == {".gguf", ".lock"}


def test_two_at_once_make_it_once(tiny: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = set(pool.map(lambda _: engine.obtain(artifact(tiny, "Q8_0"), tmp_path), range(3)))
    assert len(found) == 1


def test_a_damaged_file_in_the_cache_is_made_again(tiny: Path, tmp_path: Path) -> None:
    good = engine.obtain(artifact(tiny, "Q8_0"), tmp_path)
    os.truncate(good.path, 1000)
    assert engine.obtain(artifact(tiny, "Q8_0"), tmp_path) == good


def test_quantizing_twice_has_to_be_asked_for(tmp_path: Path) -> None:
    source = make(tmp_path / "q8.gguf", quant="Q8_0")
    rejects(artifact(source, "Q4_0"), tmp_path, "is Q8_0", "requantize = true")
    found = engine.obtain(artifact(source, "Q4_0", requantize=True), tmp_path)
    assert gguf_file.read(found.path).quant == "Q4_0"
    assert "from Q8_0" in found.note


def test_quants_that_cannot_be_made(tiny: Path, tmp_path: Path) -> None:
    rejects(artifact(tiny, "IQ2_XXS"), tmp_path, "importance matrix")
    rejects(artifact(tiny, "NVFP4"), tmp_path, "cannot make NVFP4")


def test_what_the_manifest_promises_can_be_made() -> None:
    manifest = manifests("engine")["llama_cpp"]
    assert isinstance(manifest, Manifest)
    assert set(manifest.derives) == set(manifest.quants) - artifacts.NEEDS_IMATRIX - artifacts.CANNOT_BE_MADE
    assert set(manifest.quants) == set(gguf_file.FILE_TYPES.values())


def test_a_full_disk_is_told_as_such(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 1000})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: full)
        rejects(artifact(tiny, "Q8_0"), tmp_path, "are free", "MOBENCH_CACHE")
    run = subprocess.run

    def limited(*given: Any, **named: Any) -> Any:
        named["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        return run(*given, **named)

    monkeypatch.setattr("subprocess.run", limited)
    rejects(artifact(tiny, "Q8_0"), tmp_path, "Q8_0", "tiny.gguf")
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("*.gguf"))


def test_a_crash_of_the_quantizer_is_a_reason(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    crash = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr("subprocess.run", lambda _, **named: run(crash, **named))
    rejects(artifact(tiny, "Q8_0"), tmp_path, "crashed (signal 6)", "Q8_0")


# ---------------------------------------------------------------- the hub


@pytest.fixture
def remote(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    q8 = make(tmp_path / "q8.gguf", quant="Q8_0").read_bytes()
    files = {"README.md": b"# m", "m-f16.gguf": tiny.read_bytes(), "m-Q8_0.gguf": q8, "mmproj-f16.gguf": b"x"}
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with serve(Hub({"org/m": files})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def from_hub(quant: str | None = None, name: str = "", revision: str | None = "v1") -> PlanArtifact:
    return artifact(name, quant, source="hf", repo="org/m", revision=revision)


def storage_requests(remote: Hub) -> list[dict[str, str]]:
    return [headers for _, path, headers in remote.seen if path.startswith("storage:")]


def test_the_published_file_of_a_quant(remote: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = engine.obtain(from_hub("Q8_0"), cache)
    assert found.path == cache / "hub/org/m" / COMMIT / "m-Q8_0.gguf"
    assert found.path.read_bytes() == remote.repos["org/m"]["m-Q8_0.gguf"]
    assert remote.seen[0][1] == "/api/models/org/m/revision/v1"
    assert engine.obtain(from_hub("Q8_0"), cache) == found
    assert len(storage_requests(remote)) == 1


def test_a_pinned_commit_needs_no_network_the_second_time(
    remote: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = engine.obtain(from_hub("Q8_0", revision=COMMIT), tmp_path / "c")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    count = len(remote.seen)
    assert engine.obtain(from_hub("Q8_0", revision=COMMIT), tmp_path / "c") == first
    assert len(remote.seen) == count
    rejects(from_hub("Q8_0", revision=COMMIT), tmp_path / "other", "HF_HUB_OFFLINE")


def test_a_quant_that_is_not_published_is_derived_from_f16(remote: Hub, tmp_path: Path) -> None:
    found = engine.obtain(from_hub("Q4_0"), tmp_path / "c")
    assert gguf_file.read(found.path).quant == "Q4_0"
    assert "from F16" in found.note


def test_a_file_by_name_and_names_that_do_not_decide(remote: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "c"
    assert engine.obtain(from_hub(name="m-f16.gguf"), cache).path.name == "m-f16.gguf"
    rejects(from_hub(name="none.gguf"), cache, "no file none.gguf", "m-f16.gguf, m-Q8_0.gguf")
    rejects(from_hub(), cache, "several files", "name one")
    remote.repos["org/m"]["other-Q8_0.gguf"] = b""
    rejects(from_hub("Q8_0"), cache, "several files for Q8_0")
    remote.repos["org/m"] = {"m-Q4_K_M.gguf": b"", "m-BF16.gguf": b""}
    listing = hub.listing("org/m", "v1", cache)
    assert artifacts.choose(listing, "", "Q4_K_M").name == "m-Q4_K_M.gguf"
    assert artifacts.choose(listing, "", "F16").name == "m-BF16.gguf"  # made from it, not mistaken for it
    remote.repos["org/m"] = {f"m-Q8_0-0000{i}-of-00002.gguf": b"" for i in (1, 2)}
    rejects(from_hub("Q8_0"), cache, "one part of a split model")
    remote.repos["org/m"] = {"m-Q4_K_M.gguf": b""}
    rejects(from_hub("Q8_0"), cache, "no file for Q8_0", "m-Q4_K_M.gguf")


def test_names_from_the_hub_stay_in_the_cache(remote: Hub, tmp_path: Path) -> None:
    remote.repos["org/m"] = {"../../../m-Q8_0.gguf": b""}
    rejects(from_hub("Q8_0"), tmp_path / "c", "'../../../m-Q8_0.gguf'", "no file of a repository")


def test_a_broken_download_is_resumed(remote: Hub, tmp_path: Path) -> None:
    remote.break_after = [100_000, 200_000]
    found = engine.obtain(from_hub("F16"), tmp_path / "c")
    assert found.path.read_bytes() == remote.repos["org/m"]["m-f16.gguf"]
    assert [h.get("Range") for h in storage_requests(remote)] == [None, "bytes=100000-", "bytes=300000-"]


def test_a_download_is_resumed_by_the_next_run(remote: Hub, tmp_path: Path) -> None:
    remote.break_after = [10_000] * 5
    rejects(from_hub("F16"), tmp_path / "c", "broke off", "run again to resume")
    (part,) = (tmp_path / "c").rglob("*.part")
    assert part.stat().st_size == 50_000
    assert engine.obtain(from_hub("F16"), tmp_path / "c").size == len(remote.repos["org/m"]["m-f16.gguf"])
    assert storage_requests(remote)[-1]["Range"] == "bytes=50000-"


def test_a_server_without_ranges_sends_all_again(remote: Hub, tmp_path: Path) -> None:
    remote.break_after, remote.ranges = [100_000], False
    assert engine.obtain(from_hub("F16"), tmp_path / "c").sha256 == sha256_of(remote, "m-f16.gguf")


def sha256_of(remote: Hub, name: str) -> str:
    return hashlib.sha256(remote.repos["org/m"][name]).hexdigest()


@pytest.mark.parametrize("listed", [True, False])
def test_wrong_bytes_are_thrown_away(remote: Hub, tmp_path: Path, listed: bool) -> None:
    remote.corrupt, remote.listed_digests = True, listed
    rejects(from_hub("F16"), tmp_path / "c", sha256_of(remote, "m-f16.gguf"), "thrown away")
    assert not [p for p in (tmp_path / "c").rglob("*") if p.suffix in {".part", ".gguf"}]
    remote.corrupt = False
    assert engine.obtain(from_hub("F16"), tmp_path / "c").sha256 == sha256_of(remote, "m-f16.gguf")


def test_the_token_goes_to_the_hub_only(remote: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.token = "hf_secret"
    rejects(from_hub("F16"), tmp_path / "c", "access refused (401)", "set HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    rejects(from_hub("F16"), tmp_path / "c", "HF_TOKEN has no access")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert engine.obtain(from_hub("F16"), tmp_path / "c").size
    assert not any("Authorization" in headers for headers in storage_requests(remote))


def test_a_busy_hub_is_asked_again_and_a_missing_one_named(
    remote: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.statuses = [503, 429]
    assert isinstance(engine.obtain(from_hub("Q8_0"), tmp_path / "c"), Weights)
    rejects(artifact("", None, source="hf", repo="org/none", revision="v1"), tmp_path, "does not exist")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    rejects(from_hub("Q8_0", revision="v2"), tmp_path, "cannot be reached")
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    rejects(from_hub("Q8_0", revision="v2"), tmp_path, "http(s)")


# ---------------------------------------------------------------- the plug-in


def test_importing_the_engine_loads_no_library() -> None:
    code = "import sys, mobench_lang.engines.llama_cpp; print('llama_cpp' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_build_names_version_commit_and_libraries() -> None:
    build = engine.build("host")
    assert build == engine.build("host")
    assert build.startswith("llama-cpp-python ")
    with pytest.raises(PlatformError, match="android"):
        engine.build("android-arm64")


def test_how_the_worker_is_started() -> None:
    value = Entity(kind="engine", name="llama_cpp", base="llama_cpp", pack="llama_cpp")
    assert {"{job}", "{events}"} < set(engine.launch("host", value).argv)


def test_every_parameter_is_a_field_of_the_job() -> None:
    told = {name for name, parameter in manifests("engine")["llama_cpp"].parameters.items() if parameter.job}
    assert told <= JobEngine.model_fields.keys()
