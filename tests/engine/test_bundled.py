"""The embedded model, which every demo starts with: whole path from artefact to reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobench_lang.engines.llama_cpp import engine
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import Weights
from tests.engine.conftest import Run

CHAT = [{"id": "c", "turns": ["Tell me a story.", "What is 2 plus 3?"]}]


@pytest.fixture(scope="module", params=[None, "Q8_0", "Q4_K_M"])
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    location = "std/tiny/tiny-f16.gguf"
    artifact = PlanArtifact(key="k", model="tiny", quant=request.param, source="bundled", location=location)
    return engine.obtain(artifact, tmp_path_factory.mktemp("cache"))


def test_it_talks(run: Run, weights: Weights) -> None:
    model = {"path": str(weights.path), "sha256": weights.sha256, "size": weights.size}
    ran = run(conversations=CHAT, output_tokens=120, ignore_eos=False, model=model)
    assert ran.status == 0, ran.stderr[-2000:]
    story, sum_ = ran.requests(1)
    assert story.text.isprintable()
    assert len(story.text.split()) > 20
    assert sum_.finish == "eos"
    assert sum_.cached_tokens > 0
    assert [r.tokens for r in ran.requests(0)] == [r.tokens for r in ran.requests(1)]


def test_its_length_can_be_fixed(run: Run, weights: Weights) -> None:
    ran = run(conversations=CHAT, output_tokens=150, warmup=0, model={"path": str(weights.path)})
    assert [len(r.stamps) for r in ran.requests()] == [150, 150]
    assert all(r.finish == "length" for r in ran.requests())


def test_it_knows_answers_better_than_noise(run: Run, weights: Weights) -> None:
    prompt = "Question: What is 2 plus 3?\nAnswer:"
    asked = [{"id": a, "prompt": prompt, "continuation": f" {a}."} for a in ("5", "17", "tree")]
    scores = {s.id: s.logprob for s in run(scores=asked, model={"path": str(weights.path)}).all("score")}
    assert scores["5"] > scores["tree"]


def test_it_is_where_the_wheel_puts_it(weights: Weights) -> None:
    assert Path(weights.path).suffix == ".gguf"
    assert weights.size < 50_000_000
