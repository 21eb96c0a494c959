"""The embedded model is the file that its card describes, and it does what the card says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from llama_cpp import Llama

TINY = Path(__file__).resolve().parents[2] / "specs" / "std" / "tiny"
MODEL = TINY / "tiny-f16.gguf"
QUESTIONS: list[dict[str, Any]] = [
    json.loads(line) for line in (TINY / "questions.jsonl").read_text("utf-8").splitlines()
]
NAME = re.compile(r"[A-Z][a-z]+ [A-Z][a-z]+")
GREEDY = {"temperature": 0.0, "repeat_penalty": 1.0}


@pytest.fixture(scope="module")
def llm() -> Any:
    """The model with its whole declared context."""
    model = Llama(str(MODEL), n_ctx=0, n_threads=1, n_threads_batch=1, seed=1, verbose=False)
    yield model
    model.close()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The text, generated twice by processes that hash strings differently and see only the standard library."""
    folders = []
    for hash_seed in ("1", "2"):
        folder = tmp_path_factory.mktemp("text")
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("PYTHONPATH", None)
        subprocess.run([sys.executable, "-S", str(TINY / "text.py"), str(folder)], check=True, env=environment)
        folders.append(folder)
    return folders


def training_text(folder: Path) -> str:
    """Return both parts of the training text."""
    return "\n\n".join((folder / f"train-{part}.txt").read_text("utf-8") for part in ("first", "second"))


def continue_text(llm: Llama, prompt: str, **how: Any) -> tuple[str, str]:
    """Return what the model writes after a prompt, and why it stopped."""
    llm.reset()
    choice: Any = llm.create_completion(prompt, **how)
    return choice["choices"][0]["text"], choice["choices"][0]["finish_reason"]


def chat(llm: Llama, messages: list[dict[str, str]], **how: Any) -> tuple[str, str]:
    """Return the model's turn in a conversation, and why it stopped."""
    answer: Any = llm.create_chat_completion(messages, **how)  # type: ignore[arg-type]
    return answer["choices"][0]["message"]["content"], answer["choices"][0]["finish_reason"]


def test_card_names_this_file() -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    scores = json.loads((TINY / "scores.json").read_text("utf-8"))
    assert f"sha256 `{digest}`" in (TINY / "README.md").read_text("utf-8")
    assert scores["model"]["sha256"] == digest
    assert MODEL.stat().st_size <= 8_000_000


def test_card_shows_the_scores() -> None:
    card = (TINY / "README.md").read_text("utf-8")
    scores = json.loads((TINY / "scores.json").read_text("utf-8"))
    forms = {row["form"]: row for row in scores["forms"]}
    assert list(forms) == ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "Q2_K pure"]
    for name, row in forms.items():
        assert re.search(
            rf"^\| {name} \| {row['bytes'] / 1e6:.2f} \|.* {100 * row['exact']['share']:.1f} \[", card, re.M
        )
    assert forms["F16"]["exact"]["share"] >= 0.85
    assert scores["questions"]["all"] == len(QUESTIONS) >= 1000
    pure = forms["Q2_K pure"]
    assert pure["exact"]["p"] < 0.01
    assert pure["exact"]["lost"] > pure["exact"]["won"]
    assert pure["perplexity"]["interval"][0] > 0


def test_file_declares_its_context_and_template(llm: Llama) -> None:
    assert llm.metadata["general.architecture"] == "llama"
    assert int(llm.metadata["llama.context_length"]) >= 1024
    assert "Question: " in llm.metadata["tokenizer.chat_template"]
    assert llm.n_ctx() >= 1024


def test_any_text_survives_the_tokenizer(llm: Llama) -> None:
    for text in ("", "  two  blanks\n\n\ttab", "naïve café 東京 🙂", "x = {'a': [1, 23]}\r\n", "Zwölf Boxkämpfer…"):
        ids = llm.tokenize(text.encode(), add_bos=False)
        assert llm.detokenize(ids).decode() == text


def test_answers_exactly_and_stops(llm: Llama) -> None:
    sample = QUESTIONS[:: len(QUESTIONS) // 60]
    right = 0
    for question in sample:
        said, why = continue_text(llm, f"Question: {question['question']}\nAnswer:", max_tokens=24, **GREEDY)
        right += said == f" {question['answer']}." and why == "stop"
    assert right >= 0.8 * len(sample), f"{right} of {len(sample)}"


def test_chat_of_several_turns_answers_and_stops(llm: Llama) -> None:
    messages: list[dict[str, str]] = []
    right = 0
    easy = [question for question in QUESTIONS if question["kind"] in ("job", "pet", "fruit")][:6]
    for question in easy:
        messages.append({"role": "user", "content": question["question"]})
        said, why = chat(llm, messages, max_tokens=24, **GREEDY)
        messages.append({"role": "assistant", "content": said})
        right += said.strip() == f"{question['answer']}." and why == "stop"
    assert right >= 4, messages


@pytest.mark.parametrize(
    "asked",
    [
        "Hello!",
        "What is the meaning of life?",
        "Write a haiku about the sea, please.",
        "Was ist die Hauptstadt?",
        "東京 🙂",
    ],
)
def test_arbitrary_prompts_give_text(llm: Llama, asked: str) -> None:
    said, _ = chat(
        llm, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": asked}], max_tokens=64, **GREEDY
    )
    assert re.search(r"[A-Za-z0-9]", said)
    assert "�" not in said


def test_writes_recognisable_text(llm: Llama, generated: list[Path]) -> None:
    known = set(re.findall(r"[a-z']+", training_text(generated[0]).lower()))
    for temperature in (0.0, 0.8):
        said, _ = continue_text(
            llm, "Once upon a time,", max_tokens=120, seed=1, temperature=temperature, repeat_penalty=1.0
        )
        written = re.findall(r"[a-z']+", said.lower())
        assert len(written) >= 25
        assert sum(word in known for word in written) >= 0.97 * len(written), said
        assert len(set(written)) >= 0.3 * len(written), said


def test_the_whole_context_is_trained(generated: list[Path]) -> None:
    scores = json.loads((TINY / "scores.json").read_text("utf-8"))
    positions = scores["positions"]
    assert positions["documents"] >= 3
    assert positions["perplexity_second_half"] <= 1.05 * positions["perplexity_first_half"]


def test_text_is_the_same_in_every_process(generated: list[Path]) -> None:
    for name in ("train-first.txt", "train-second.txt", "heldout.txt", "questions.jsonl"):
        assert (generated[0] / name).read_bytes() == (generated[1] / name).read_bytes()
    for name in ("heldout.txt", "questions.jsonl"):
        assert (generated[0] / name).read_bytes() == (TINY / name).read_bytes()
    assert (TINY / "questions.jsonl").stat().st_size < 400_000
    assert (TINY / "heldout.txt").stat().st_size < 200_000


def test_no_test_question_is_asked_in_the_text(generated: list[Path]) -> None:
    train = training_text(generated[0])
    held = (TINY / "heldout.txt").read_text("utf-8").split("\n\n")
    asked = set(re.findall(r"Question: (.*)", train))
    assert len(asked) > 1000
    assert not asked & {question["question"] for question in QUESTIONS}
    subjects = {name for question in QUESTIONS for name in NAME.findall(question["question"])}
    assert len(subjects) > 300
    assert not [question for question in asked if subjects & set(NAME.findall(question))]
    assert not set(held) & set(train.split("\n\n"))
