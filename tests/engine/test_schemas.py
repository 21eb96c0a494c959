"""The published schemas: in step with the models, and strict."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jsonschema
import pytest

from mobench_lang.protocol import End, Job, JobEngine, JobModel, JobWorkload, Phase, SampleHead, SampleRow, SampleTail
from mobench_lang.schemas import generate, load

JOB = Job(job_id="j", model=JobModel(path="m"), engine=JobEngine(name="e"), workload=JobWorkload(output_tokens=1))


def valid(name: str, data: Any) -> bool:
    schema = load(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return bool(jsonschema.Draft202012Validator(schema).is_valid(data))


@pytest.mark.parametrize("name", sorted(generate()))
def test_the_files_are_what_the_models_give(name: str) -> None:
    shipped = resources.files("mobench_lang.schemas").joinpath(name).read_text("utf-8")
    assert shipped == generate()[name], "run `python -m mobench_lang.schemas`"


def test_what_is_written_is_valid() -> None:
    assert valid("job", JOB.model_dump(mode="json"))
    assert valid(
        "events", Phase(pass_=-1, request=0, name="load", start=1, end=2).model_dump(mode="json", by_alias=True)
    )
    for line in (
        SampleHead(t=1, hz=10, channels=("a",), units=("mW",), sources=("x",)), SampleRow(t=1, v=(1,)),
        SampleTail(t=1, cpu_ns=1, wall_ns=1, rows=1),
    ):  # fmt: skip
        assert valid("samples", line.model_dump(mode="json"))


def test_what_must_be_said_cannot_be_left_out() -> None:
    job = JOB.model_dump(mode="json")
    for key in ("version", "job_id", "model", "engine"):
        assert not valid("job", {k: v for k, v in job.items() if k != key})
    assert not valid("job", job | {"version": 2})
    assert not valid("job", job | {"surprise": 1})
    end = End(t=1, status="ok").model_dump(mode="json")
    assert valid("events", end)
    assert not valid("events", {k: v for k, v in end.items() if k != "e"})
    assert not valid("events", end | {"e": "unheard"})
