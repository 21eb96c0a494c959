"""A spec with everything it uses: files, their names, and what the names stand for.

In: the source of one file. Out: its `Module`, with the modules it uses loaded, every `let` and declaration evaluated.
Guarantee: files are read inside the project only; cycles of files and of names are reported, not followed; each file's
faults are reported once, in its own text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mobench_lang.check import entities, messages
from mobench_lang.check.evaluate import Budget, Evaluator
from mobench_lang.check.functions import MAX_JSONL, functions
from mobench_lang.check.library import shipped
from mobench_lang.check.names import Bound
from mobench_lang.check.schema import DECLARED, PROTOCOL_BLOCKS, Schema
from mobench_lang.check.values import POISON, Val, Word
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.frozen import frozen
from mobench_lang.lockfile import LOCK_FILE, NO_LOCK, Lock
from mobench_lang.source import Source, Span
from mobench_lang.syntax import ast, parse, read

MAX_FILES = 200
ROOT_MARKS = (LOCK_FILE, "pyproject.toml", ".git")


@dataclass
class Module:
    """One loaded file: its tree, its folder (None for the shipped library), its names and its bench, if any."""

    source: Source
    tree: ast.File
    folder: Path | None
    shown: str
    evaluator: Evaluator
    bench: ast.Block | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    exports: dict[str, Bound] = field(default_factory=dict)

    def find(self, name: str) -> Bound | None:
        """What a top-level name of this file stands for; one that is still being made is poison."""
        entry = self.entries.get(name)
        if entry is None:
            return None
        return entry.bound or Bound(POISON, entry.span)

    def names(self) -> Iterator[str]:
        """Every top-level name of this file."""
        return iter(self.entries)


@frozen
class Without:
    """The names of a file but one: a declaration's own name means nothing inside it."""

    module: Module
    hidden: str

    def find(self, name: str) -> Bound | None:
        """What the file says, unless it is the hidden name."""
        return None if name == self.hidden else self.module.find(name)

    def names(self) -> Iterator[str]:
        """The file's names but the hidden one."""
        return (n for n in self.module.names() if n != self.hidden)


@dataclass
class Entry:
    """One name: what makes its value, or the value."""

    span: Span | None
    node: ast.Let | ast.Block | None = None
    bound: Bound | None = None


def project_root(folder: Path) -> Path:
    """The nearest folder above that marks a project, else the folder itself."""
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in ROOT_MARKS):
            return candidate
    return folder


@dataclass
class Loader:
    """Loads files for one check."""

    schema: Schema
    report: Callable[[Diagnostic], None]
    root: Path | None
    lock: Lock = NO_LOCK
    budget: Budget = field(default_factory=Budget)
    modules: dict[str, Module | None] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def load(self, source: Source, folder: Path | None, shown: str, chain: tuple[str, ...] = ()) -> Module:
        """The module of a source; `chain` are the files that led here."""
        key = shown if folder is None else str((folder / Path(shown).name).resolve())
        self.modules[key] = None
        self.files.append(shown)
        tree, found = parse(source)
        for diagnostic in found:
            self.report(diagnostic)
        known = functions(folder or _library_folder(shown), self._text)
        evaluator = Evaluator(self.schema, self.report, known, self.budget, lock=self.lock)
        module = Module(source, tree, folder, shown, evaluator)
        _predeclare(module, self.schema)
        for item in tree.items:
            if isinstance(item, ast.Use):
                self._use(module, item, (*chain, key))
        _collect(module)
        _evaluate(module)
        self.modules[key] = module
        return module

    # ------------------------------------------------------------ use

    def _use(self, module: Module, use: ast.Use, chain: tuple[str, ...]) -> None:
        target = self._target(module, use, chain)
        exports: Mapping[str, Bound] | None = target.exports if target is not None else None
        if use.alias is not None:
            _enter(module, use.alias, Entry(use.alias.span, bound=Bound(POISON, use.alias.span, namespace=exports)))
        for name in use.names:
            bound = Bound(POISON, name.span)
            if target is not None and exports is not None:
                if name.text in exports:
                    bound = exports[name.text]
                elif target.bench is not None and target.bench.name and target.bench.name.text == name.text:
                    self.report(messages.imports.import_of_bench(name, target.shown))
                elif not _lost(target.tree, name.text):
                    self.report(messages.imports.not_exported(name, target.shown, self.budget.near(sorted(exports))))
            _enter(module, name, Entry(name.span, bound=Bound(bound.value, name.span, bound.want)))

    def _target(self, module: Module, use: ast.Use, chain: tuple[str, ...]) -> Module | None:
        written = use.path.plain
        if written is None:
            self.report(messages.imports.use_is_not_plain(use.path.span))
            return None
        found = self._locate(module, use.path.span, written)
        if found is None:
            return None
        key, source, folder, shown = found
        if key in chain:
            names = [Path(c).name for c in chain[chain.index(key) :]]
            self.report(messages.imports.import_cycle(use.path.span, [*names, names[0]]))
            return None
        if self.modules.get(key) is not None:
            return self.modules[key]
        if len(self.files) >= MAX_FILES:
            self.report(messages.imports.too_many_files(use.path.span, MAX_FILES))
            return None
        return self.load(source, folder, shown, chain)

    def _locate(self, module: Module, span: Span, written: str) -> tuple[str, Source, Path | None, str] | None:
        if written.startswith("std/") or module.folder is None:
            return self._library(span, written)
        folder = module.folder
        path = folder / written
        if "\0" in written or "\n" in written or not written:
            self.report(messages.imports.missing_import(span, written, ()))
            return None
        resolved = path.resolve()
        root = self.root or folder.resolve()
        if not resolved.is_relative_to(root):
            self.report(messages.imports.import_escapes(span, written, root.name or str(root)))
            return None
        if not path.exists():
            near = [p.name for p in sorted(path.parent.glob("*.bench"))] if path.parent.is_dir() else []
            close = _close(Path(written).name, near, 0.6)
            prefix = "" if "/" not in written else written.rsplit("/", 1)[0] + "/"
            self.report(messages.imports.missing_import(span, written, [prefix + c for c in close]))
            return None
        source = read(path, name=_shown(module.source.name, written))
        if isinstance(source, tuple):
            for diagnostic in source:
                self.report(messages.imports.unreadable_import(span, written, diagnostic.message))
            return None
        return str(resolved), source, resolved.parent, written

    def _library(self, span: Span, written: str) -> tuple[str, Source, Path | None, str] | None:
        parts = written.removesuffix(".bench").split("/")
        file = shipped().joinpath(*parts[:-1], parts[-1] + ".bench")
        if any(p in ("", ".", "..") for p in parts) or not file.is_file():
            known = sorted(f"std/{f.stem}" for f in (shipped() / "std").glob("*.bench"))
            self.report(messages.imports.missing_import(span, written, _close(written, known, 0.5) or known))
            return None
        shown = "/".join(parts) + ".bench"
        return shown, Source(shown, file.read_text("utf-8")), None, shown

    def _text(self, path: Path) -> str | None:
        """The text of a data file, None if there is none that can be read."""
        try:
            if path.stat().st_size > MAX_JSONL:
                return None
            return path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError, ValueError):
            return None


def _close(written: str, known: list[str], cutoff: float) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(written, known, n=2, cutoff=cutoff)


def _library_folder(shown: str) -> Path:
    """Where a file of the shipped library stands."""
    return shipped().joinpath(*shown.split("/")[:-1])


def _shown(user: str, written: str) -> str:
    """How an imported file is called: beside the name of the file that uses it."""
    parent = PurePosixPath(user).parent
    return str(parent / written) if str(parent) != "." else written


def _lost(tree: ast.File, name: str) -> bool:
    return any(isinstance(i, ast.Broken) and (i.name is None or i.name.text == name) for i in tree.items)


# ---------------------------------------------------------------- names of one file


def _predeclare(module: Module, schema: Schema) -> None:
    for name in schema.engines:
        module.entries[name] = Entry(None, bound=Bound(entities.builtin("engine", name, name, {}), None))
    for name, manifest in schema.targets.items():
        if manifest.predeclared:
            device = entities.builtin("device", manifest.predeclared, name, {"target": Word(name)})
            module.entries[manifest.predeclared] = Entry(None, bound=Bound(device, None))


def _enter(module: Module, name: ast.Name, entry: Entry) -> None:
    first = module.entries.get(name.text)
    if first is not None:
        found = messages.names.declared_twice(name, first.span) if first.span else messages.names.shadows(name, None)
        module.evaluator.tell(found)
        return
    if name.text in module.evaluator.functions:
        module.evaluator.tell(messages.names.shadows(name, None))
        return
    module.entries[name.text] = entry


def _collect(module: Module) -> None:
    """Enter the names that the file declares."""
    for item in module.tree.items:
        match item:
            case ast.Let():
                _enter(module, item.name, Entry(item.name.span, item))
            case ast.Broken(name=name) if name is not None:
                if name.text not in module.entries:
                    _enter(module, name, Entry(name.span, bound=Bound(POISON, name.span)))
            case ast.Block():
                _collect_block(module, item)


def _collect_block(module: Module, block: ast.Block) -> None:
    kind, tell = block.kind.text, module.evaluator.tell
    if kind == "bench":
        if module.bench is not None:
            tell(messages.declarations.several_benches(block.kind, module.bench.head))
            return
        if block.parent is not None:
            tell(messages.declarations.bench_with_parent(block.parent.span))
        module.bench = block
    elif kind not in DECLARED:
        belongs = "move it into the bench" if kind in (*PROTOCOL_BLOCKS, "matrix", "zip") else ""
        tell(messages.declarations.unknown_block(block.kind, ("bench", *DECLARED), "at the top of a file", belongs))
    elif block.name is not None:  # the parser has told of one without
        _enter(module, block.name, Entry(block.name.span, block))


def _evaluate(module: Module) -> None:
    """Evaluate every let and declaration, each after what it is made from; no recursion, however long the chain."""
    state: dict[str, int] = {}  # 1: being made, 2: made
    for start in list(module.entries):
        stack: list[tuple[str, Iterator[str]]] = []
        _visit(module, start, state, stack)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                _make(module, name)
                state[name] = 2
            elif state.get(following) == 1:
                chain = [n for n, _ in stack]
                chain = [*chain[chain.index(following) :], following]
                entry = module.entries[following]
                node = entry.node
                assert node is not None  # noqa: S101 - it is being made
                assert node.name is not None  # noqa: S101 - and it has a name
                module.evaluator.tell(messages.names.recursion(node.name, chain))
                for one in chain:
                    module.entries[one].bound = Bound(POISON, module.entries[one].span)
            else:
                _visit(module, following, state, stack)


def _visit(module: Module, name: str, state: dict[str, int], stack: list[tuple[str, Iterator[str]]]) -> None:
    entry = module.entries.get(name)
    if entry is None or entry.node is None or state.get(name):
        return
    state[name] = 1
    needed = free_names(entry.node) & module.entries.keys()
    if isinstance(entry.node, ast.Block):
        needed.discard(name)  # inside its own block a name is free to be a word: `meter rapl { kind = rapl }`
    stack.append((name, iter(sorted(needed))))


def _make(module: Module, name: str) -> None:
    entry = module.entries[name]
    node = entry.node
    if node is None:
        return
    if entry.bound is None:
        value: Val
        if isinstance(node, ast.Let):
            value = module.evaluator.value(node.value, module)
        else:
            value = entities.declare(module.evaluator, node, Without(module, name))
            entities.check_workload(module.evaluator, value)
        entry.bound = Bound(value, entry.span)
    module.exports[name] = entry.bound


def free_names(node: ast.Node) -> set[str]:
    """Every name that stands anywhere in a node as an expression, but for the variables of its comprehensions."""
    found: set[str] = set()
    waiting: list[object] = [node]
    while waiting:
        one = waiting.pop()
        match one:
            case ast.Name():
                found.add(one.text)
            case ast.Let():
                waiting.append(one.value)
            case ast.Attr() | ast.Arg():
                waiting.append(one.value)
            case ast.Block():
                waiting.extend(one.body)
                waiting.append(one.parent)
            case ast.ListOf():
                waiting.extend(one.items)
            case ast.Comprehension():
                inner = free_names(one.result) | (free_names(one.condition) if one.condition is not None else set())
                found |= inner - {one.name.text}
                waiting.append(one.source)
            case ast.Range():
                waiting.extend((one.start, one.stop, one.step))
            case ast.Unary():
                waiting.append(one.operand)
            case ast.Binary():
                waiting.extend((one.left, one.right))
            case ast.Cond():
                waiting.extend((one.test, one.yes, one.no))
            case ast.Member():
                waiting.append(one.value)
            case ast.Index():
                waiting.extend((one.value, one.index))
            case ast.Call():
                waiting.extend((one.function, *one.args, *one.named))
            case ast.Refine():
                waiting.extend((one.base, *one.entries))
            case ast.String():
                waiting.extend(p for p in one.parts if not isinstance(p, str))
            case _:
                pass
    return found
