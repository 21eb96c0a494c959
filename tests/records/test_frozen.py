"""Records behave as frozen dataclasses do, and plain data makes the same record that pydantic would make."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mobench_lang.frozen import Misfit, from_plain
from mobench_lang.ir import Place, Quantity
from mobench_lang.packs import Attribute, Manifest
from mobench_lang.syntax.ast import Name

PLACE = Place(file="a.bench", line=1, column=2)


def test_records_are_equal_by_class_and_content() -> None:
    same = Place("a.bench", 1, 2)
    assert same == PLACE and hash(PLACE) == hash(same) and {PLACE, same} == {PLACE}
    assert Place("a.bench", 1, 3) != PLACE
    assert PLACE != ("a.bench", 1, 2)
    assert Quantity(1, "s") != Name(1, "s")  # type: ignore[arg-type]  # the same content in another class


def test_records_cannot_be_changed_but_copied() -> None:
    with pytest.raises(FrozenInstanceError):
        PLACE.line = 3  # type: ignore[misc]
    with pytest.raises((FrozenInstanceError, TypeError)):
        PLACE.other = 3  # type: ignore[attr-defined]
    assert replace(PLACE, line=3) == Place("a.bench", 3, 2)
    assert copy.deepcopy(PLACE) == pickle.loads(pickle.dumps(PLACE)) == PLACE


def test_records_show_themselves() -> None:
    assert repr(PLACE) == "Place(file='a.bench', line=1, column=2)"


ATTRIBUTE = {"type": "int", "doc": "words"}
MANIFEST = {
    "manifest": 1, "kind": "target", "name": "n", "version": "1", "summary": "s",
    "parameters": {"threads": ATTRIBUTE}, "metrics": {"power": {"method": "m"}}, "quants": ["F16"],
    "conflicts": [{"condition": "c", "value": "v", "attribute": "a", "pattern": "p", "message": "m"}],
}  # fmt: skip


def test_a_whole_manifest_is_what_pydantic_makes_of_it() -> None:
    made = from_plain(Manifest, MANIFEST)
    assert made == TypeAdapter(Manifest).validate_python(MANIFEST)
    assert made.parameters["threads"] == Attribute(type="int", doc="words")
    assert made.quants == ("F16",)


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2), st.just(1.0), st.sampled_from(["", "1", "true", "int", "target"]),
    st.lists(st.sampled_from(["F16", 1, True]), max_size=2), st.just(ATTRIBUTE), st.just({"x": ATTRIBUTE}),
    st.just([ATTRIBUTE]), st.just({"method": "m"}), st.just({1: ATTRIBUTE}),
)  # fmt: skip


@given(base=st.sampled_from([(Attribute, ATTRIBUTE), (Manifest, MANIFEST)]), data=st.data())
def test_what_is_taken_is_what_pydantic_takes(base: tuple[type[Any], dict[str, Any]], data: st.DataObject) -> None:
    """Some fields gone, some of another type: what fits makes the same record, what pydantic refuses never fits."""
    cls, whole = base
    names = [*cls.__dataclass_fields__, "stranger"]
    changed = data.draw(st.dictionaries(st.sampled_from(names), PLAIN, max_size=3))
    gone = data.draw(st.sets(st.sampled_from(sorted(whole)), max_size=1))
    plain = {k: v for k, v in {**whole, **changed}.items() if k not in gone}
    try:
        made = from_plain(cls, plain)
    except Misfit:
        return
    try:
        expected = TypeAdapter(cls).validate_python(plain)
    except ValidationError as error:
        pytest.fail(f"{plain} fits, but pydantic says {error}")
    assert repr(made) == repr(expected)
