"""Derive every quantized form of the F16 model through llama.cpp's own quantizer and score it against F16.

    python evaluate.py tiny-f16.gguf DATA OUT      writes the forms and scores.json into OUT

Three scores, each paired with F16 on the same texts: perplexity of the held-out text, the choice among four options
(the sum of the answer's log-probabilities), and the exact greedy answer with the end token after it.  Intervals are for
95 %: a sandwich estimate over documents for the perplexity's change, Wilson's for shares; p is of the two-sided exact
sign test on the questions that one form answers and the other does not.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import text
from llama_cpp import Llama

CONTEXT = 1024
Z = 1.959964  # of a 95 % interval

# name: llama_ftype, every matrix at that type
FORMS: dict[str, tuple[int, bool] | None] = {
    "F16": None,
    "Q8_0": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, False),
    "Q6_K": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K, False),
    "Q5_K_M": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M, False),
    "Q4_K_M": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, False),
    "Q4_0": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, False),
    "Q3_K_M": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q3_K_M, False),
    "Q2_K": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K, False),
    "Q2_K pure": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K, True),
}

SAMPLES = [
    "Once upon a time,",
    "One rainy day, Lucy went to the",
    "The capital of Norway is",
    "12 + 7 =",
]
CHATS = [
    ["What is the symbol for gold?", "What is 17 plus 25?", "What is the capital of Sweden?"],
    ["Hello!", "Tell me a story.", "Thank you."],
    ["Write a python function that sorts a list.", "Summarize the history of the Roman Empire in two sentences."],
]


@dataclass
class Measured:
    """What one form gives: surprise and tokens of each document, and which questions it answers."""

    surprise: np.ndarray
    chosen: np.ndarray
    exact: np.ndarray


def quantize(source: Path, target: Path, ftype: int, pure: bool) -> None:
    """Write a quantized form."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.pure = ftype, 2, pure
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise RuntimeError(f"could not write {target}")


def open_model(path: Path) -> Llama:
    """Load a form so that the logits of all positions can be read.  One thread: for this model more only wait."""
    return Llama(str(path), n_ctx=CONTEXT, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False)


def judge(logits: np.ndarray, targets: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-probability of each target, and whether it is the likeliest token."""
    logits = logits.astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    given = logits[np.arange(len(targets)), targets] - np.log(np.exp(logits).sum(1))
    return given, logits.argmax(1) == targets


def log_probabilities(llm: Llama, ids: Sequence[int]) -> np.ndarray:
    """Return the log-probability of each of ids[1:]."""
    llm.reset()
    llm.eval(ids)
    return judge(llm.scores[: len(ids) - 1], ids[1:])[0]


def read_documents(llm: Llama, docs: Sequence[str]) -> np.ndarray:
    """Return the summed surprise and the count of tokens of each document, the end token included."""
    rows = []
    for doc in docs:
        ids = [llm.token_bos(), *llm.tokenize(doc.encode(), add_bos=False), llm.token_eos()][:CONTEXT]
        given = log_probabilities(llm, ids)
        rows.append((-given.sum(), len(given)))
    return np.array(rows)


def answer(llm: Llama, question: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the right option is the likeliest one, and whether the greedy answer is exact and then ends."""
    head = llm.tokenize(text.prompt(question["question"]).encode(), add_bos=True)
    sums, exact = [], False
    llm.reset()
    llm.eval(head)
    for option in question["options"]:
        tail = [*llm.tokenize(f" {option}.".encode(), add_bos=False), llm.token_eos()]
        llm.n_tokens = len(head)  # what comes after the prompt is forgotten, the prompt is not read again
        llm.eval(tail[:-1])
        given, best = judge(llm.scores[len(head) - 1 : len(head) + len(tail) - 1], tail)
        sums.append(given[:-1].sum())
        if option == question["answer"]:
            exact = bool(best.all())
    return question["options"][int(np.argmax(sums))] == question["answer"], exact


def measure(path: Path, docs: Sequence[str], questions: Sequence[dict[str, Any]]) -> Measured:
    """Measure one form."""
    llm = open_model(path)
    surprise = read_documents(llm, docs)
    marks = np.array([answer(llm, question) for question in questions])
    llm.close()
    return Measured(surprise, marks[:, 0], marks[:, 1])


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    share, z2 = right / total, Z * Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return middle - half, middle + half


def sign_test(lost: int, won: int) -> float:
    """Return the chance of a split at least this uneven, either way, if both forms were equally good."""
    total = lost + won
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(min(lost, won) + 1)) / 2**total)


def share_scores(now: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Summarize right and wrong answers, paired with F16's."""
    lost, won = int((base & ~now).sum()), int((now & ~base).sum())
    return {
        "share": float(now.mean()),
        "interval": list(wilson(int(now.sum()), len(now))),
        "lost": lost,
        "won": won,
        "p": sign_test(lost, won),
    }


def perplexity_scores(now: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Summarize perplexities, and the change from F16's paired by document."""
    count = base[:, 1].sum()
    difference = now[:, 0] - base[:, 0]
    mean = difference.sum() / count
    error = math.sqrt(((difference - mean * base[:, 1]) ** 2).sum()) / count
    return {
        "perplexity": math.exp(now[:, 0].sum() / count),
        "change": math.expm1(mean),
        "interval": [math.expm1(mean - Z * error), math.expm1(mean + Z * error)],
    }


def by_position(llm: Llama, docs: Sequence[str]) -> dict[str, Any]:
    """Return the perplexity of long documents in the first and the second half of the context."""
    rows = []
    for doc in docs:
        ids = [llm.token_bos(), *llm.tokenize(doc.encode(), add_bos=False), llm.token_eos()][:CONTEXT]
        if len(ids) >= CONTEXT * 7 // 8:
            given = log_probabilities(llm, ids)
            rows.append(given)
    first = np.concatenate([row[: CONTEXT // 2] for row in rows])
    second = np.concatenate([row[CONTEXT // 2 :] for row in rows])
    return {
        "documents": len(rows),
        "perplexity_first_half": math.exp(-first.mean()),
        "perplexity_second_half": math.exp(-second.mean()),
    }


def samples(path: Path) -> list[dict[str, Any]]:
    """Let F16 write: continuations and short chats, greedy and sampled."""
    llm = open_model(path)
    out: list[dict[str, Any]] = []
    how = {"max_tokens": 160, "repeat_penalty": 1.0, "seed": 1}
    for start in SAMPLES:
        for temperature in (0.0, 0.8):
            llm.reset()
            choice = llm.create_completion(start, temperature=temperature, **how)["choices"][0]
            end = choice["finish_reason"]
            out.append({"prompt": start, "temperature": temperature, "text": choice["text"], "finish": end})
    for asked in CHATS:
        messages: list[dict[str, str]] = []
        for question in asked:
            messages.append({"role": "user", "content": question})
            choice = llm.create_chat_completion(messages, temperature=0.0, **how)["choices"][0]
            said = choice["message"]["content"].strip()
            messages.append({"role": "assistant", "content": said, "finish": choice["finish_reason"]})
        out.append({"chat": messages})
    llm.close()
    return out


def evaluate(source: Path, data: Path, out: Path) -> dict[str, Any]:
    """Score all forms and return what scores.json holds."""
    out.mkdir(parents=True, exist_ok=True)
    docs = (data / "heldout.txt").read_text("utf-8").split(text.SEPARATOR)
    questions = [json.loads(line) for line in (data / "questions.jsonl").read_text("utf-8").splitlines()]
    kinds = np.array([question["kind"] for question in questions])
    base: Measured | None = None
    rows = []
    for name, how in FORMS.items():
        path = source
        if how:
            path = out / f"tiny-{name.lower().replace(' ', '-')}.gguf"
            quantize(source, path, *how)
        now = measure(path, docs, questions)
        base = base or now
        rows.append(
            {
                "form": name,
                "bytes": path.stat().st_size,
                "perplexity": perplexity_scores(now.surprise, base.surprise),
                "choice": share_scores(now.chosen, base.chosen),
                "exact": share_scores(now.exact, base.exact),
                "exact_by_kind": {str(k): float(now.exact[kinds == k].mean()) for k in np.unique(kinds)},
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    llm = open_model(source)
    scores = {
        "model": {
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
            "bytes": source.stat().st_size,
            "architecture": llm.metadata["general.architecture"],
            "context": int(llm.metadata["llama.context_length"]),
        },
        "evaluated_with": f"llama-cpp-python {llama_cpp.__version__}",
        "heldout": {"documents": len(docs), "tokens": int(base.surprise[:, 1].sum()) if base else 0},
        "questions": {str(k): int((kinds == k).sum()) for k in np.unique(kinds)} | {"all": len(questions)},
        "positions": by_position(llm, docs),
        "forms": rows,
        "samples": samples(source),
    }
    llm.close()
    (out / "scores.json").write_text(json.dumps(scores, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return scores


def main() -> None:
    """Evaluate, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("data", type=Path, help="folder with heldout.txt and questions.jsonl")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    evaluate(args.gguf, args.data, args.out)


if __name__ == "__main__":
    main()
