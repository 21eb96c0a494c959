"""The published JSON Schemas of what crosses the border between host and instrument.

In: the models of `mobench_lang.protocol`. Out: `job.schema.json`, `events.schema.json` and `samples.schema.json` in
this folder; `python -m mobench_lang.schemas` writes them, a test keeps them in step. The schemas of the two JSONL
files are those of one line.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from pydantic import TypeAdapter

from mobench_lang.protocol import EVENTS_VERSION, JOB_VERSION, SAMPLES_VERSION, Event, Job, Sample

_MODELS: dict[str, tuple[Any, int, str]] = {
    "job": (Job, JOB_VERSION, "job.json: what an instrument is told"),
    "events": (Event, EVENTS_VERSION, "One line of events.jsonl: what an instrument says"),
    "samples": (Sample, SAMPLES_VERSION, "One line of samples.jsonl: what a sampler reads"),
}


def generate() -> dict[str, str]:
    """File name → text of every schema, made from the models."""
    found = {}
    for name, (model, version, title) in _MODELS.items():
        schema: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:mobench:{name}:{version}",
            "title": title,
        }
        body = TypeAdapter(model).json_schema(by_alias=True)
        schema |= {k: v for k, v in body.items() if k != "title"}
        for part in (schema, *schema.get("$defs", {}).values()):
            _require_constants(part)
        found[f"{name}.schema.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return found


def _require_constants(part: dict[str, Any]) -> None:
    """The models have defaults for `e` and `version`; the files must say them."""
    said = [name for name, field in part.get("properties", {}).items() if "const" in field]
    if said:
        part["required"] = [*said, *(r for r in part.get("required", ()) if r not in said)]


def load(name: str) -> dict[str, Any]:
    """A published schema (`job`, `events`, `samples`), as it is shipped."""
    text = resources.files("mobench_lang.schemas").joinpath(f"{name}.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
