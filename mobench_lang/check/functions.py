"""The closed set of functions of the language.

In: a call with its environment. Out: a value, or POISON after one report. Guarantee: only `jsonl` reads a file, inside
the folder of the project; nothing else looks outside its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from mobench_lang.check import messages
from mobench_lang.check.arithmetic import MAX_INT, arithmetic, comparable, compare, plain
from mobench_lang.check.coerce import coerce
from mobench_lang.check.evaluate import Evaluator, weight
from mobench_lang.check.library import shipped
from mobench_lang.check.names import Env
from mobench_lang.check.units import Qty
from mobench_lang.check.values import POISON, Ent, Folder, Hidden, Poison, Rec, Val, Word, is_list, kind_of, text
from mobench_lang.frozen import frozen
from mobench_lang.lockfile import HubFile, HubSource, LocalFile, Lock, names_quant
from mobench_lang.packs import Attribute
from mobench_lang.syntax import ast

MAX_JSONL = 256 * 1024 * 1024
COST = 10  # steps that a new thing takes, beside those of its attributes
MAX_EXPONENT = 60  # powers of ten of a number in a data file


@frozen
class Signature:
    """A function as the reference shows it: parameters in order (`name: type`, `?` for optional) and what it gives."""

    name: str
    parameters: tuple[tuple[str, Attribute, bool], ...]
    gives: str
    doc: str


def _p(name: str, kind: str, *, optional: bool = False) -> tuple[str, Attribute, bool]:
    return name, Attribute(type=kind, doc=""), optional


SIGNATURES = {
    s.name: s
    for s in (
        Signature(
            "hf",
            (_p("repo", "string"), _p("file", "string", optional=True), _p("rev", "string", optional=True)),
            "source",
            "A file of a repository on the Hugging Face hub. Without `file`: the one whose name contains the quant.",
        ),
        Signature("path", (_p("file", "string"),), "source", "A local file, relative to the file that writes it."),
        Signature("bundled", (_p("name", "string"),), "source", "A file that is shipped with mobench."),
        Signature("jsonl", (_p("file", "string"),), "list of record", "The objects of a JSON Lines file."),
        Signature("secret", (_p("name", "string"),), "secret", "Reserved: this version has no use for a secret yet."),
        Signature("len", (_p("list", "any"),), "int", "Number of elements."),
        Signature("sum", (_p("list", "any"),), "number or quantity", "Sum of the elements."),
        Signature("min", (_p("list", "any"),), "element", "Smallest element."),
        Signature("max", (_p("list", "any"),), "element", "Largest element."),
        Signature("round", (_p("value", "any"),), "int or quantity", "To the nearest whole number of the base unit."),
    )
}


def functions(folder: Path | None, read: Callable[[Path], str | None]) -> dict[str, Callable[..., Val]]:
    """The functions as a file in `folder` may call them; `read` gives the text of a file, None if there is none."""
    return {
        "hf": _hf,
        "path": lambda ev, call, env: _path(ev, call, env, folder),
        "bundled": _bundled,
        "jsonl": lambda ev, call, env: _jsonl(ev, call, env, folder, read),
        "secret": _secret,
        "generate": _generate,
        "len": _len,
        "sum": _sum,
        "min": lambda ev, call, env: _extreme(ev, call, env, "<"),
        "max": lambda ev, call, env: _extreme(ev, call, env, ">"),
        "round": _round,
        ".size": _size,
    }


def arguments(ev: Evaluator, call: ast.Call, env: Env, signature: Signature) -> dict[str, Val] | None:
    """The arguments by name, typed; None after a report. Optional ones that are not given are None."""
    given: dict[str, ast.Expr] = {}
    order = [name for name, _, _ in signature.parameters]
    if len(call.args) > len(order):
        ev.tell(messages.functions.too_many_arguments(call.args[len(order)].span, signature.name, order))
        return None
    given.update(zip(order, call.args, strict=False))
    for arg in call.named:
        if arg.name.text not in order:
            ev.tell(messages.functions.unknown_argument(arg.name, signature.name, order))
            return None
        if arg.name.text in given:
            ev.tell(messages.declarations.repeated(arg.name, given[arg.name.text].span))
            return None
        given[arg.name.text] = arg.value
    found: dict[str, Val] = {}
    for name, kind, optional in signature.parameters:
        if name not in given:
            if not optional:
                ev.tell(messages.functions.missing_argument(call.span, signature.name, name, order))
                return None
            found[name] = None
            continue
        value = coerce(ev, ev.value(given[name], env, kind), kind, name, given[name].span, given[name])
        if isinstance(value, Poison):
            return None
        found[name] = value
    return found


# ---------------------------------------------------------------- sources


def _hf(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    args = arguments(ev, call, env, SIGNATURES["hf"])
    if args is None:
        return POISON
    repo = args["repo"]
    if isinstance(repo, str) and (repo.count("/") != 1 or not all(repo.split("/")) or repo != repo.strip()):
        return ev.tell(messages.functions.bad_repo(call.args[0].span if call.args else call.span, repo))
    return Rec({"kind": "hf", **args})


def _path(ev: Evaluator, call: ast.Call, env: Env, folder: Path | None) -> Val:
    args = arguments(ev, call, env, SIGNATURES["path"])
    if args is None:
        return POISON
    file = args["file"]
    if not isinstance(file, str):
        return file
    if not file or "\0" in file:
        return ev.tell(messages.functions.bad_path(call.span))
    if Path(file).is_absolute():
        ev.tell(messages.functions.absolute_path(call.span, file))
    return Rec({"kind": "path", "file": file, "folder": Folder(folder)})


def _bundled(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    args = arguments(ev, call, env, SIGNATURES["bundled"])
    if args is None:
        return POISON
    name = args["name"]
    parts = str(name).split("/")
    if any(p in ("", ".", "..") for p in parts):
        return ev.tell(messages.functions.bad_path(call.span))
    if not shipped().joinpath(*parts).is_file():
        return ev.tell(messages.functions.not_bundled(call.span, str(name)))
    return Rec({"kind": "bundled", **args})


def _secret(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    arguments(ev, call, env, SIGNATURES["secret"])
    return ev.tell(messages.declarations.reserved(call.span, "`secret`", "no attribute of this version takes a secret"))


def _jsonl(ev: Evaluator, call: ast.Call, env: Env, folder: Path | None, read: Callable[[Path], str | None]) -> Val:
    args = arguments(ev, call, env, SIGNATURES["jsonl"])
    if args is None:
        return POISON
    file = args["file"]
    if not isinstance(file, str):
        return file
    content = read((folder or Path()) / file)
    if content is None:
        return ev.tell(messages.functions.missing_file(call.span, file))
    rows: list[Val] = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=_decimal, parse_int=_whole, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            return ev.tell(messages.functions.bad_jsonl(call.span, file, number, str(error)))
        if not isinstance(row, dict):
            return ev.tell(messages.functions.bad_jsonl(call.span, file, number, "not an object"))
        rows.append(_from_json(row))
        if not ev.charge(1 + len(row), call.span):
            return POISON
    return tuple(rows)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError(f"the number {text[:20]} is too large or too small")
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_EXPONENT or abs(int(text)) >= MAX_INT:
        raise ValueError(f"the number {text[:20]} is too large")
    return int(text)


def _no_number(text: str) -> Decimal:
    raise ValueError(f"{text} is no number")


def _from_json(value: object) -> Val:
    if isinstance(value, dict):
        return Rec({str(k): _from_json(v) for k, v in value.items()})
    if isinstance(value, list):
        return tuple(_from_json(v) for v in value)
    assert value is None or isinstance(value, bool | int | str | Decimal)  # noqa: S101 - what json gives
    return value


# ---------------------------------------------------------------- workloads and models


def _generate(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    from mobench_lang.check.entities import attributes_from, check_workload

    known = ev.schema.attributes("workload")
    order = ["prompt", "output"]
    if len(call.args) > len(order):
        return ev.tell(messages.functions.too_many_arguments(call.args[2].span, "generate", order))
    named = [ast.Arg(a.span, ast.Name(a.span, order[i]), a) for i, a in enumerate(call.args)]
    attrs = attributes_from(ev, "workload", "", [*named, *call.named], env)
    if attrs is None:
        return POISON
    values, spans = attrs
    if "prompt" not in values and "prompts" not in values:
        return ev.tell(messages.functions.missing_argument(call.span, "generate", "prompt", list(known)))
    if "output" not in values:
        return ev.tell(messages.functions.missing_argument(call.span, "generate", "output", list(known)))
    keys = [k for k in known if k in values]
    if not ev.work(COST + sum(weight(v, ev.budget.steps) for v in values.values()), call.span):
        return POISON
    name = f"generate({', '.join(f'{k} = {text(values[k])}' for k in keys)})"
    made = Ent("workload", name, name, "", values, spans, call.span)
    return made if check_workload(ev, made) else POISON


def _size(ev: Evaluator, call: ast.Call, env: Env, owner: Ent) -> Val:
    if owner.kind != "model":
        assert isinstance(call.function, ast.Member)  # noqa: S101 - called as a method
        return ev.tell(messages.functions.no_method(call.function.name, kind_of(owner)))
    signature = Signature("size", (_p("quant", "quant"),), "size", "")
    args = arguments(ev, call, env, signature)
    if args is None:
        return POISON
    quant = args["quant"]
    return size_of(ev, owner, quant.text if isinstance(quant, Word) else None)


def size_of(ev: Evaluator, model: Ent, quant: str | None) -> Val:
    """Bytes of a model's weights in a format: those of the locked file, else parameters × bits per weight, else
    unknown. A file that has to be converted first does not tell."""
    locked = locked_file(ev.lock, model, quant)
    if locked is not None and (quant is None or (isinstance(locked, HubFile) and names_quant(locked.file, quant))):
        return Qty(Decimal(locked.size), "B")
    params = model.attrs.get("params")
    if quant is None:
        return Hidden(f"the file of model `{model.name}` is not locked")
    bits = ev.schema.bits.get(quant or "")
    if bits is None:
        return Hidden(f"the bits per weight of {quant} are not known")
    if isinstance(params, int):
        return Qty(Decimal(round(params * Decimal(str(bits)) / 8)), "B")
    return Hidden(f"model `{model.name}` declares no `params`")


def locked_file(lock: Lock, model: Ent, quant: str | None) -> HubFile | LocalFile | None:
    """What the lock knows of the file behind a model in a format."""
    source = model.attrs.get("source")
    if not isinstance(source, Rec):
        return None
    field = {k: v if type(v) is str else "" for k, v in source.fields.items()}
    match field["kind"]:
        case "hf":
            return lock.hub.get(HubSource(field["repo"], field["rev"], field["file"], quant or ""))
        case "path":
            folder = source.fields.get("folder")
            return lock.local(folder.path if isinstance(folder, Folder) else None, field["file"])
    return None


# ---------------------------------------------------------------- lists and numbers


def _elements(ev: Evaluator, call: ast.Call, env: Env, name: str) -> Val:
    if len(call.args) > 1 and not call.named:
        return tuple(ev.value(a, env) for a in call.args)
    args = arguments(ev, call, env, SIGNATURES[name])
    if args is None:
        return POISON
    value = args["list"]
    if isinstance(value, Sequence) and is_list(value) and name != "len":
        return value if ev.work(len(value), call.span) else POISON
    if isinstance(value, Hidden) or is_list(value):
        return value
    return ev.tell(messages.values.not_a_list(call.args[0].span if call.args else call.span, kind_of(value)))


def _len(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    value = _elements(ev, call, env, "len")
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _sum(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    items = _elements(ev, call, env, "sum")
    if not isinstance(items, Sequence) or isinstance(items, str):
        return items
    total: Val = items[0] if items else 0
    for item in items[1:]:
        if isinstance(item, Poison | Hidden):
            return item
        total = arithmetic("+", total, item)
        if total is None:
            return ev.tell(messages.functions.not_summable(call.span, "sum"))
    return total


def _extreme(ev: Evaluator, call: ast.Call, env: Env, op: str) -> Val:
    name = "min" if op == "<" else "max"
    items = _elements(ev, call, env, name)
    if not isinstance(items, Sequence) or isinstance(items, str):
        return items
    if not items:
        return ev.tell(messages.functions.empty_list(call.span, name))
    best = items[0]
    for item in items:
        if isinstance(item, Poison | Hidden):
            return item
        if not comparable(item, best, ordered=True):
            return ev.tell(messages.functions.not_summable(call.span, name))
        best = item if compare(op, item, best) else best
    return best


def _round(ev: Evaluator, call: ast.Call, env: Env) -> Val:
    args = arguments(ev, call, env, SIGNATURES["round"])
    if args is None:
        return POISON
    value = args["value"]
    if isinstance(value, Qty) and value.base not in ("1", "pp"):
        return Qty(value.value.quantize(Decimal(1), ROUND_HALF_EVEN), value.base)
    if isinstance(value, Qty):
        value = value.value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return plain(Decimal(value).quantize(Decimal(1), ROUND_HALF_EVEN))
    if isinstance(value, Hidden):
        return value
    return ev.tell(messages.values.bad_operand(call.span, "round", kind_of(value)))
