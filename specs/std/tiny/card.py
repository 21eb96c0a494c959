"""Fill in the measured parts of the model card (README.md) from scores.json and train.json.

Standard library only.  What stands between `<!-- begin NAME -->` and `<!-- end NAME -->` is replaced, the rest is kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def percent(value: float, digits: int = 1) -> str:
    """Write a share as a percentage."""
    return f"{100 * value:.{digits}f}"


def probability(p: float) -> str:
    """Write a p-value."""
    return f"{p:.2g}" if p < 0.995 else "1"


def score_table(scores: dict[str, Any]) -> str:
    """Write one line for each form."""
    lines = [
        "| form | MB | perplexity change, % | choice, % | lost/won, p | exact answer, % | lost/won, p |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in scores["forms"]:
        reference = row["form"] == "F16"
        ppl, low_high = row["perplexity"], row["perplexity"]["interval"]
        half = (low_high[1] - low_high[0]) / 2
        change = (
            f"– (perplexity {ppl['perplexity']:.4f})" if reference else f"{100 * ppl['change']:+.2f} ± {100 * half:.2f}"
        )
        cells = [row["form"], f"{row['bytes'] / 1e6:.2f}", change]
        for name in ("choice", "exact"):
            score = row[name]
            low, high = score["interval"]
            cells.append(f"{percent(score['share'])} [{percent(low)}, {percent(high)}]")
            cells.append("–" if reference else f"{score['lost']}/{score['won']}, {probability(score['p'])}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def kind_table(scores: dict[str, Any]) -> str:
    """Write the exact answers by kind of question."""
    kinds = [kind for kind in scores["questions"] if kind != "all"]
    lines = [
        "| exact answer, % | " + " | ".join(f"{kind} ({scores['questions'][kind]})" for kind in kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for row in scores["forms"]:
        shares = [percent(row["exact_by_kind"][kind]) for kind in kinds]
        lines.append(f"| {row['form']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def file_facts(scores: dict[str, Any]) -> str:
    """Describe the file and its scores' settings."""
    model, positions = scores["model"], scores["positions"]
    return "\n".join(
        [
            f"- `tiny-f16.gguf`: {model['bytes']:,} bytes, architecture `{model['architecture']}`, "
            f"context {model['context']}",
            f"- sha256 `{model['sha256']}`",
            f"- {scores['questions']['all']:,} held-out questions; held-out text of {scores['heldout']['documents']:,} "
            f"documents, {scores['heldout']['tokens']:,} tokens",
            f"- {positions['documents']} held-out documents that fill the context: perplexity "
            f"{positions['perplexity_first_half']:.3f} in its first half, "
            f"{positions['perplexity_second_half']:.3f} in its second",
            f"- evaluated with {scores['evaluated_with']}",
        ]
    )


def training_facts(facts: dict[str, Any]) -> str:
    """Describe the training run."""
    config, recipe = facts["config"], facts["recipe"]
    return "\n".join(
        [
            f"- {facts['parameters']:,} parameters: {config['layers']} layers, width {config['dim']}, feed-forward "
            f"{config['ffn']}, {config['heads']} heads, {config['kv_heads']} key/value heads, vocabulary "
            f"{config['vocab']}, RoPE base {config['theta']:g}, tied output",
            f"- first part: {recipe['first_steps']:,} steps of {recipe['tokens']:,} tokens, {facts['passes'][0]} "
            f"passes over {facts['tokens_in_parts'][0] / 1e6:.2f} M tokens; rate {recipe['rate']:g} after "
            f"{recipe['warm_up']} steps of warm-up, along a half cosine that would end at step "
            f"{recipe['cosine_steps']:,}",
            f"- second part: {recipe['second_steps']:,} steps, {facts['passes'][1]} passes over "
            f"{facts['tokens_in_parts'][1] / 1e6:.2f} M tokens; rate {recipe['second_rate']:g} after "
            f"{recipe['second_warm_up']} steps of warm-up, in a straight line to {recipe['last_rate']:.0%} of that",
            f"- sequences of 256 tokens, from step {recipe['long_from']:,} on of {config['context']:,}",
            f"- AdamW, weight decay {recipe['decay']:g} on matrices, gradients clipped at 1; seed {recipe['seed']} "
            "(text seed 1)",
            f"- machine: {facts['machine']}, torch {facts['torch']}; {facts['wall_seconds'] / 60:.1f} minutes by the "
            f"clock, {facts['cpu_seconds'] / 60 / recipe['threads']:.1f} minutes of processor time a core",
        ]
    )


def parity_facts(parity: dict[str, Any]) -> str:
    """Describe how alike llama.cpp and torch compute."""
    return (
        f"{parity['texts_tokenized_alike']} of {parity['texts']} texts are cut into the same tokens; over "
        f"{parity['positions']} positions the logits (up to {parity['largest_logit']}) differ by at most "
        f"{parity['largest_difference_of_logits']}, and the likeliest token is the same at "
        f"{percent(parity['same_best_token'])} % of them."
    )


def sample_texts(scores: dict[str, Any]) -> str:
    """Write what F16 writes."""
    lines = ["```text"]
    for sample in scores["samples"]:
        if "chat" in sample:
            for message in sample["chat"]:
                end = f"   [{message['finish']}]" if "finish" in message else ""
                lines.append(f"{message['role']}: {message['content']}{end}")
        else:
            lines.append(f"({sample['temperature']}) {sample['prompt']}|{sample['text']}   [{sample['finish']}]")
        lines.append("")
    return "\n".join([*lines[:-1], "```"])


def fill(card: Path, scores: dict[str, Any], training: dict[str, Any]) -> None:
    """Replace the measured parts of the card."""
    parts = {
        "file": file_facts(scores),
        "scores": score_table(scores),
        "kinds": kind_table(scores),
        "training": training_facts(training),
        "parity": parity_facts(training["parity"]),
        "samples": sample_texts(scores),
    }
    text = card.read_text("utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        head, found, rest = text.partition(begin)
        _, ended, tail = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"{card} has no part {name!r}")
        text = f"{head}{begin}\n{part}\n{end}{tail}"
    card.write_text(text, "utf-8")


def fill_from(folder: Path) -> None:
    """Fill in the card of a folder from the JSON files beside it."""
    scores, training = (json.loads((folder / name).read_text("utf-8")) for name in ("scores.json", "train.json"))
    fill(folder / "README.md", scores, training)


if __name__ == "__main__":
    fill_from(Path(__file__).resolve().parent)
