"""Train the tiny model on a folder that text.py filled; writes tokenizer.json, model.pt and train.json.

    python train.py DATA OUT

bfloat16 autocast and torch.compile (which needs a C++ compiler; without one it runs eagerly, and slower).  A checkpoint
is written every few minutes; a run that was killed goes on from it when the same command is given again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import text
import torch
import torch.nn.functional as F
from model import Config, Llama
from tokenizer import END_ID, train_tokenizer
from tokenizers import Tokenizer

SHORT = 256  # tokens in a sequence of the first part of the training; the last part uses the whole context


@dataclass(frozen=True)
class Recipe:
    """How the model is trained."""

    first_steps: int = 2400  # on the first part of the text
    second_steps: int = 600  # on the second
    tokens: int = 4096  # in one step
    long_from: int = 2250  # from this step on, sequences are as long as the context
    rate: float = 2e-3
    cosine_steps: int = 3000  # the first part's rate falls along a half cosine that would end here
    warm_up: int = 100
    second_rate: float = 8e-4  # the second part warms up again, then falls in a straight line
    second_warm_up: int = 50
    last_rate: float = 0.02  # of the highest, at the end of either line
    decay: float = 0.1
    seed: int = 1
    threads: int = 2

    @property
    def steps(self) -> int:
        """All steps."""
        return self.first_steps + self.second_steps


def batches(coded: list[list[int]], recipe: Recipe, turn: int) -> Iterator[np.ndarray]:
    """Yield `tokens + 1` ids at a time from an endless stream of all documents, newly shuffled in each turn."""
    buffer = np.zeros(0, np.int64)
    while True:
        while len(buffer) <= recipe.tokens:
            order = np.random.default_rng([recipe.seed, turn]).permutation(len(coded))
            buffer = np.concatenate([buffer, *(np.array([END_ID, *coded[i]], np.int64) for i in order)])
            turn += 1
        yield buffer[: recipe.tokens + 1]
        buffer = buffer[recipe.tokens :]


def rate_at(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: in each part a warm-up, then a fall."""
    if step < recipe.first_steps:
        fall = 0.5 * (1 + math.cos(math.pi * step / recipe.cosine_steps))
        highest, warm = recipe.rate, (step + 1) / recipe.warm_up
    else:
        step -= recipe.first_steps
        fall = 1 - step / recipe.second_steps
        highest, warm = recipe.second_rate, (step + 1) / recipe.second_warm_up
    return highest * min(1.0, warm) * (recipe.last_rate + (1 - recipe.last_rate) * fall)


@torch.no_grad()
def exact_answers(model: Llama, tokenizer: Tokenizer, questions: list[dict[str, str]]) -> dict[str, float]:
    """Return the share of exact greedy answers, the end included, for each kind of question."""
    marks: dict[str, list[bool]] = {}
    for question in questions:
        head = [END_ID, *tokenizer.encode(text.prompt(question["question"])).ids]
        tail = [*tokenizer.encode(f" {question['answer']}.").ids, END_ID]
        best = model(torch.tensor([head + tail[:-1]]))[0, len(head) - 1 :].argmax(-1).tolist()
        marks.setdefault(question["kind"], []).append(best == tail)
    marks["all"] = [mark for kind in marks.values() for mark in kind]
    return {kind: round(sum(found) / len(found), 4) for kind, found in marks.items()}


@torch.no_grad()
def perplexity(model: Llama, docs: list[list[int]]) -> float:
    """Return the perplexity a token of whole documents, each read on its own."""
    loss, count = 0.0, 0
    for doc in docs:
        ids = torch.tensor([END_ID, *doc, END_ID][: model.config.context + 1])
        loss += F.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="sum").item()
        count += len(ids) - 1
    return math.exp(loss / count)


def train(data: Path, out: Path, config: Config, recipe: Recipe) -> None:
    """Train, or go on training, and write the results."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    first_docs, second_docs, held_docs = (
        (data / name).read_text("utf-8").split(text.SEPARATOR)
        for name in ("train-first.txt", "train-second.txt", "heldout.txt")
    )
    tokenizer = train_tokenizer(first_docs, config.vocab)
    tokenizer.save(str(out / "tokenizer.json"))
    first, second, held = (
        [code.ids for code in tokenizer.encode_batch(docs)] for docs in (first_docs, second_docs, held_docs)
    )
    questions = [json.loads(line) for line in (data / "questions.jsonl").read_text("utf-8").splitlines()]
    sizes = [sum(map(len, coded)) + len(coded) for coded in (first, second)]
    model = Llama(config)
    facts = {
        "config": asdict(config),
        "recipe": asdict(recipe),
        "parameters": sum(x.numel() for x in model.parameters()),
        "tokens_in_parts": sizes,
        "tokens_seen": recipe.steps * recipe.tokens,
        "passes": [
            round(steps * recipe.tokens / size, 2)
            for steps, size in zip((recipe.first_steps, recipe.second_steps), sizes, strict=True)
        ],
        "torch": torch.__version__,
        "machine": f"{os.cpu_count()} x {platform.machine()}, {recipe.threads} threads",
    }
    print(json.dumps(facts), flush=True)

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(x)
        return F.cross_entropy(logits.float().flatten(0, 1), y)

    run = torch.compile(loss_of, dynamic=False) if shutil.which("g++") else loss_of
    matrices = [x for x in model.parameters() if x.dim() == 2]
    vectors = [x for x in model.parameters() if x.dim() < 2]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.95), fused=True)
    begin, wall_before, cpu_before = 0, 0.0, 0.0
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        begin, wall_before, cpu_before = saved["step"], saved["wall"], saved["cpu"]
        print(f"going on after step {begin}", flush=True)
    stream = itertools.chain(
        itertools.islice(batches(first, recipe, 0), recipe.first_steps), batches(second, recipe, 1000)
    )
    for _ in range(begin):
        next(stream)
    wall_start, cpu_start, total = time.time(), time.process_time(), 0.0
    for step in range(begin, recipe.steps):
        length = SHORT if step < recipe.long_from else config.context
        ids = torch.from_numpy(next(stream))
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, step)
        loss = run(ids[:-1].view(-1, length), ids[1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
        done = step + 1
        wall, cpu = wall_before + time.time() - wall_start, cpu_before + time.process_time() - cpu_start
        if done % 50 == 0:
            print(f"step {done} loss {total / 50:.4f} wall {wall:.0f} s cpu {cpu:.0f} s", flush=True)
            total = 0.0
        if done % 100 == 0 and done < recipe.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": done, "wall": wall, "cpu": cpu}, out / "checkpoint.tmp")
            (out / "checkpoint.tmp").replace(checkpoint)
        if done % 600 == 0 or (done > recipe.first_steps and done % 100 == 0):
            print(f"exact {exact_answers(model, tokenizer, questions[::6])}", flush=True)
    wall, cpu = wall_before + time.time() - wall_start, cpu_before + time.process_time() - cpu_start
    facts |= {"wall_seconds": round(wall), "cpu_seconds": round(cpu), "heldout_perplexity": perplexity(model, held)}
    facts["exact"] = exact_answers(model, tokenizer, questions)
    torch.save({"config": asdict(config), "model": model.state_dict()}, out / "model.pt")
    (out / "train.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train.txt, heldout.txt and questions.jsonl")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    train(args.data, args.out, Config(), Recipe())


if __name__ == "__main__":
    main()
