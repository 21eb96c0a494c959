"""The digest of a plan, over its canonical JSON.

In: plain data, records, pydantic models, enums and decimals. Out: bytes that depend on the values alone: keys sorted,
no spaces, UTF-8, decimals as strings as they were written, enums as their values. Floats are refused: their text is
nobody's promise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel

from mobench_lang.plan.model import Plan


def canonical_json(obj: Any) -> bytes:
    """The canonical JSON of a value, without a final newline. Raises TypeError for what has no canonical text."""
    return json.dumps(_plain(obj), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
        "utf-8"
    )


def plan_digest(plan: Plan) -> str:
    """`sha256:` and the hex digest of the plan with an empty `digest`."""
    return "sha256:" + hashlib.sha256(canonical_json(plan.model_copy(update={"digest": ""}))).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("canonical JSON has string keys only")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no canonical JSON")
