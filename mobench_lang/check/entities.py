"""Declared things: from a block or a refinement to an `Ent`.

In: blocks of the syntax tree and the environment they stand in. Out: `Ent`s with attributes checked against the schema.
Guarantee: an unknown, repeated or ill-typed attribute is reported once; what is left can still be used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mobench_lang.check import messages
from mobench_lang.check.coerce import coerce
from mobench_lang.check.evaluate import Evaluator, weight
from mobench_lang.check.names import Env
from mobench_lang.check.values import POISON, Ent, Hidden, Poison, Val, Word, text
from mobench_lang.packs import Attribute
from mobench_lang.source import Span
from mobench_lang.syntax import ast

COST = 10  # steps that a refinement takes, beside those of its attributes


def declare(ev: Evaluator, block: ast.Block, env: Env) -> Ent:
    """The entity of a top-level block; faults are reported and mark it as damaged."""
    assert block.name is not None  # noqa: S101 - the loader enters only blocks with a name
    kind = block.kind.text
    reserved = ev.schema.blocks[kind].reserved
    if reserved:
        ev.tell(messages.declarations.reserved(block.head, f"`{kind}`", reserved))
        return Ent(kind, block.name.text, block.name.text, "", {}, {}, block.head, damaged=True)
    parent = _parent(ev, block, env)
    body = attributes_of(ev, block.body)
    pack = parent.pack if parent else ""
    damaged = any(isinstance(s, ast.Broken) for s in block.body) or (block.parent is not None and parent is None)
    if kind == "device" and "target" in body:
        target = ev.value(body["target"].value, env, ev.schema.attributes("device")["target"])
        pack = target.text if isinstance(target, Word) and target.text in ev.schema.targets else ""
        damaged = damaged or not pack
    if kind == "engine" and parent is None and not damaged:
        ev.tell(messages.declarations.engine_without_parent(block.name, sorted(ev.schema.engines)))
        damaged = True
    known = ev.schema.attributes(kind, pack)
    attrs: dict[str, Val] = dict(parent.attrs) if parent else {}
    spans: dict[str, Span] = dict(parent.spans) if parent else {}
    for key, attr in body.items():
        value = _attribute(ev, kind, pack, known, attr, env)
        attrs[key], spans[key] = value, attr.span
        damaged = damaged or isinstance(value, Poison)
    missing = [] if damaged else [k for k, info in known.items() if info.required and k not in attrs]
    for key in missing:
        ev.tell(messages.declarations.missing_attribute(block, key, known[key]))
        damaged = True
    attrs = {k: v for k, v in attrs.items() if not isinstance(v, Poison)}
    identity = object()
    base = _Base(block.name.text, identity)
    return Ent(kind, block.name.text, base, pack, attrs, spans, block.head, frozenset(), damaged)


class _Base(str):
    """The identity of a declaration: prints as its name, equal only to itself."""

    __slots__ = ("_identity",)
    _identity: object

    def __new__(cls, name: str, identity: object) -> _Base:
        made = super().__new__(cls, name)
        made._identity = identity
        return made

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other  # str has its own

    def __hash__(self) -> int:
        return str.__hash__(self)


def builtin(kind: str, name: str, pack: str, attrs: Mapping[str, Val]) -> Ent:
    """An entity that needs no declaration, such as the engine of an installed pack."""
    return Ent(kind, name, name, pack, attrs, {}, None)


def _parent(ev: Evaluator, block: ast.Block, env: Env) -> Ent | None:
    if block.parent is None:
        return None
    value = ev.value(block.parent, env)
    if isinstance(value, Poison | Hidden):
        return None
    if not isinstance(value, Ent) or value.kind != block.kind.text:
        ev.tell(messages.declarations.wrong_parent(block.parent.span, block.kind.text, value))
        return None
    return value


def attributes_of(ev: Evaluator, body: Iterable[ast.Stmt]) -> dict[str, ast.Attr]:
    """The attributes of a body that holds nothing else, first one of each key; the rest is reported."""
    found: dict[str, ast.Attr] = {}
    for stmt in body:
        match stmt:
            case ast.Attr():
                if stmt.name.text in found:
                    ev.tell(messages.declarations.repeated(stmt.name, found[stmt.name.text].name.span))
                elif stmt.optional:
                    ev.tell(messages.declarations.optional_not_here(stmt.name))
                    found[stmt.name.text] = stmt
                else:
                    found[stmt.name.text] = stmt
            case ast.Broken():
                pass
            case _:
                ev.tell(messages.declarations.not_in_this_block(stmt))
    return found


def _attribute(  # noqa: PLR0917 - a value with its whole context
    ev: Evaluator, kind: str, pack: str, known: Mapping[str, Attribute], attr: ast.Attr, env: Env
) -> Val:
    key = attr.name.text
    info = known.get(key)
    if info is None:
        if kind in ("device", "engine") and not pack:
            info = ev.schema.attributes(kind).get(key)  # the target's own fault has been reported
        if info is None:
            ev.value(attr.value, env)
            return ev.tell(
                messages.declarations.unknown_attribute(
                    attr.name, kind, pack, sorted(known), ev.schema.homes(key, kind)
                )
            )
    return coerce(ev, ev.value(attr.value, env, info), info, key, attr.value.span, attr.value)


def refine(ev: Evaluator, base: Ent, entries: Iterable[ast.Arg], env: Env, span: Span) -> Val:
    """`base { key = value }`: the same declaration with attributes replaced; its name is its canonical text."""
    entries = tuple(entries)
    for entry in entries:
        if entry.name.text == "target" and base.kind == "device":
            return ev.tell(messages.declarations.target_is_fixed(entry.name, base.name))
    made = attributes_from(ev, base.kind, base.pack, entries, env)
    if made is None:
        return POISON
    if not ev.work(COST + sum(weight(v, ev.budget.steps) for v in base.attrs.values()), span):
        return POISON
    attrs, spans = {**base.attrs, **made[0]}, {**base.spans, **made[1]}
    changed = base.changed | frozenset(made[0])
    name = canonical_name(ev, base, {k: attrs[k] for k in changed})
    refined = Ent(base.kind, name, base.base, base.pack, attrs, spans, span, changed, base.damaged)
    return refined if check_workload(ev, refined) else POISON


def attributes_from(
    ev: Evaluator, kind: str, pack: str, entries: Iterable[ast.Arg], env: Env
) -> tuple[dict[str, Val], dict[str, Span]] | None:
    """Checked attributes of a record or a call, with their places; None after a report."""
    known = ev.schema.attributes(kind, pack)
    attrs: dict[str, Val] = {}
    spans: dict[str, Span] = {}
    for entry in entries:
        if entry.name.text in attrs:
            ev.tell(messages.declarations.repeated(entry.name, spans[entry.name.text]))
            continue
        attr = ast.Attr(entry.span, entry.name, False, entry.value)
        attrs[entry.name.text] = _attribute(ev, kind, pack, known, attr, env)
        spans[entry.name.text] = entry.span
    return None if any(isinstance(v, Poison) for v in attrs.values()) else (attrs, spans)


def canonical_name(ev: Evaluator, base: Ent, changed: Mapping[str, Val]) -> str:
    """`llama_cpp { threads = 4 }`: attributes in the order of the schema, so that one thing has one name."""
    order = list(ev.schema.attributes(base.kind, base.pack))
    keys = sorted(changed, key=lambda k: (order.index(k) if k in order else len(order), k))
    if not keys:
        return base.name
    return f"{base.base} {{ {', '.join(f'{k} = {text(changed[k])}' for k in keys)} }}"


def check_workload(ev: Evaluator, value: Ent) -> bool:
    """What the attributes of a workload must be together; False after a report."""
    if value.kind != "workload" or value.damaged or value.span is None:
        return True
    has = [k for k in ("prompt", "prompts") if k in value.attrs]
    if len(has) != 1:
        ev.tell(messages.declarations.workload_prompt(value.span, value.name, both=bool(has)))
        return False
    strange = [k for k in ("think", "between", "raw") if k in value.attrs] if has == ["prompt"] else []
    for key in strange:
        ev.tell(messages.declarations.not_for_random(value.spans[key], value.name, key))
    return not strange
