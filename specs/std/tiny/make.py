"""Make the tiny model from nothing: text, training, GGUF, comparison with torch, scores.

    pip install -r requirements.txt
    python make.py all --out OUT        everything; the single steps are text, train, export, evaluate
    python make.py install --out OUT    copy the results beside this script and fill in the card

Each step reads what the step before it wrote into OUT.  A training that was killed goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEPS = ("text", "train", "export", "evaluate")
MODEL = "tiny-f16.gguf"


def step(name: str, out: Path) -> None:
    """Do one step.  The heavy libraries are imported only where they are needed."""
    data, run, model = out / "data", out / "run", out / MODEL
    if name == "text":
        import text

        text.write(text.build(), data)
    elif name == "train":
        import train

        train.train(data, run, train.Config(), train.Recipe())
    elif name == "export":
        import export

        export.write_gguf(run, model)
        docs = (data / "heldout.txt").read_text("utf-8").split("\n\n")[:200]
        facts = json.loads((run / "train.json").read_text("utf-8"))
        facts["parity"] = export.compare(run, model, docs)
        (out / "train.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        print(facts["parity"])
    elif name == "evaluate":
        import evaluate

        evaluate.evaluate(model, data, out)
    else:
        import card

        for name_, folder in (
            (MODEL, out),
            ("train.json", out),
            ("scores.json", out),
            ("questions.jsonl", data),
            ("heldout.txt", data),
        ):
            shutil.copyfile(folder / name_, HERE / name_)
        card.fill_from(HERE)


def main() -> None:
    """Do the steps that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("all", *STEPS, "install"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in STEPS if args.step == "all" else (args.step,):
        print(f"== {name}", flush=True)
        step(name, args.out)


if __name__ == "__main__":
    main()
