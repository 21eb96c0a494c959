"""`mobench sql`: questions to the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from mobench_lang.cli import terminal
from mobench_lang.cli.failing import Failure, store_errors

if TYPE_CHECKING:
    from mobench_lang.report.tables import Format
    from mobench_lang.store.query import Answer

FORMATS = ("table", "csv", "json", "jsonl", "md", "parquet")
PROMPT_ROWS = 200


@click.command("sql")
@click.argument("query", required=False)
@click.option(
    "--db", type=click.Path(path_type=Path), default=Path("mobench.duckdb"), show_default=True, help="Database."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print rows."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
@click.option("--named", metavar="NAME", help="Ask a query that ships with mobench.")
@click.option("--list", "as_list", is_flag=True, help="List the named queries.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(  # noqa: PLR0917 - click passes options by name
    query: str | None, db: Path, form: str, output: Path | None, named: str | None, as_list: bool, as_json: bool
) -> None:
    """Ask the database; it is only read. Without a query: a prompt.

    `results` has a row per good trial with every axis and metric as a column; `describe results` lists them.
    Rows that a terminal is too narrow for stand one below the other, without what is empty.
    """
    form = "json" if as_json else form
    if as_list:
        _list(form)
        return
    if query is not None and named is not None:
        raise click.UsageError("give either a query or --named")
    if form == "parquet" and output is None:
        raise click.UsageError("--format parquet needs -o FILE")
    with store_errors():
        text = _named(named) if named is not None else query
        if text is None and not sys.stdin.isatty():
            text = sys.stdin.read()
        if text is None:
            _prompt(db, form)
        elif form == "parquet" and output is not None:
            _parquet(db, text, output)
        else:
            _once(db, text, form, output)


def _named(name: str) -> str:
    from mobench_lang.diagnostics import suggest
    from mobench_lang.store.query import named

    if name in named():
        return named()[name].sql
    close = suggest(name, named())
    hint = f"; did you mean {' or '.join(close)}?" if close else "; --list shows them"
    raise Failure(f"there is no query named {name}{hint}")


def _list(form: str) -> None:
    from mobench_lang.report.tables import render
    from mobench_lang.store.query import named

    rows = [(n.name, n.doc) for n in named().values()]
    click.echo(render(("name", "what"), rows, cast("Format", "table" if form == "parquet" else form)), nl=False)


def _once(db: Path, text: str, form: str, output: Path | None) -> None:
    from mobench_lang.store.database import reading
    from mobench_lang.store.query import ask

    with reading(db, sealed=True) as connection:
        answers = ask(connection, text)
    width = terminal.width() if output is None else None
    shown = "\n".join(_shown(a, form, width) for a in answers)
    if output is None:
        click.echo(shown, nl=False)
    else:
        _replace(output, shown)


def _shown(answer: Answer, form: str, width: int | None) -> str:
    from mobench_lang.report.tables import render

    return render(answer.columns, answer.rows, cast("Format", form), width)


def _replace(output: Path, text: str) -> None:
    from mobench_lang.cli.files import replace_text

    replace_text(output, text)


def _parquet(db: Path, text: str, output: Path) -> None:
    from mobench_lang.store.database import reading
    from mobench_lang.store.query import to_parquet

    scratch = output.absolute().with_name(f".{output.name}.part")
    with reading(db, sealed=True, writable=scratch) as connection:
        to_parquet(connection, text, scratch)
    scratch.replace(output)


# ---------------------------------------------------------------- the prompt

_HELP = (
    ".named lists the named queries, .named NAME asks one, .tables lists tables and views, .quit ends; "
    "a query ends with ;"
)


def _prompt(db: Path, form: str) -> None:
    """Read questions until end of file; each one opens the database for itself, so an `exec` can write in between."""
    from mobench_lang.store.database import StoreError, reading
    from mobench_lang.store.query import QueryError, ask

    _history()
    click.echo(f"{db}: {_HELP}")
    with reading(db, sealed=True):
        pass  # what is wrong with the file is said before the first question
    while (text := _read()) is not None:
        query = _dotted(text)
        if query is None:
            continue
        try:
            with reading(db, sealed=True) as connection:
                answers = ask(connection, query)
        except (QueryError, StoreError) as error:
            click.echo(f"error: {error}", err=True)
            continue
        for answer in answers:
            rows = answer.rows[:PROMPT_ROWS]
            click.echo(_shown(type(answer)(answer.columns, rows), form, terminal.width()), nl=False)
            if len(answer.rows) > len(rows):
                click.echo(f"… {len(answer.rows) - len(rows)} more rows; use LIMIT, or `mobench sql QUERY -o FILE`")


def _read() -> str | None:
    """One question, over several lines if need be; None at the end of input."""
    lines: list[str] = []
    while True:
        try:
            line = input("  ...> " if lines else "mobench> ")
        except EOFError:
            click.echo()
            return None
        except KeyboardInterrupt:
            click.echo()
            lines = []
            continue
        if not lines and line.strip() in (".quit", ".exit", "quit", "exit"):
            return None
        lines.append(line)
        text = "\n".join(lines).strip()
        if not text or text.startswith(".") or text.endswith(";"):
            return text


def _dotted(text: str) -> str | None:
    """The query that a dot command stands for; None where there is nothing to ask."""
    from mobench_lang.store.query import named

    words = text.split()
    if not words:
        return None
    if not words[0].startswith("."):
        return text
    if words[0] == ".tables":
        return "SELECT table_name, table_type FROM information_schema.tables ORDER BY ALL"
    if words[0] == ".named" and len(words) == 2 and words[1] in named():
        return named()[words[1]].sql
    if words[0] == ".named" and len(words) == 1:
        _list("table")
    else:
        click.echo(_HELP)
    return None


def _history() -> None:
    """Line editing and a history across prompts, where the platform has readline."""
    import atexit
    from contextlib import suppress

    try:
        import readline
    except ImportError:
        return
    from platformdirs import user_state_path

    file = user_state_path("mobench") / "sql_history"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            readline.read_history_file(file)

    def keep() -> None:
        with suppress(OSError):
            readline.set_history_length(2000)
            readline.write_history_file(file)

    atexit.register(keep)
