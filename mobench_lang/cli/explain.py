"""`mobench explain`: the page of an error code, or where a value of a plan comes from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli import specs
from mobench_lang.cli.failing import Failure

if TYPE_CHECKING:
    from mobench_lang.ir import Origin

_CODE = re.compile(r"[EW]\d{4}", re.IGNORECASE)


@click.command("explain")
@click.argument("what", metavar="CODE|WHERE")
@click.argument("spec", required=False, metavar="[SPEC|BUILD]")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(what: str, spec: str | None, as_json: bool) -> None:
    """Explain an error code (`explain E0312`), or where a value comes from (`explain run.timeout spec.bench`).

    WHERE is a path such as `run.timeout`, `quant`, `engine.llama_cpp.threads`, `expect.0`, or the beginning of one.
    """
    import json
    from dataclasses import asdict

    if _CODE.fullmatch(what):
        click.echo(_page(what.upper()), nl=False)
        return
    origins = _origins(spec)
    found = [o for o in origins if o.path == what] or [o for o in origins if o.path.startswith(f"{what}.")]
    if not found:
        from mobench_lang.diagnostics import suggest

        close = suggest(what, [o.path for o in origins])
        hint = (
            f"; did you mean {' or '.join(close)}?"
            if close
            else f"; there are {', '.join(o.path for o in origins[:12])} …"
        )
        raise Failure(f"the plan has no value {what!r}{hint}")
    if as_json:
        click.echo(json.dumps([asdict(o) for o in found], ensure_ascii=False, indent=1))
        return
    for origin in found:
        click.echo(f"{origin.path} = {origin.value}")
        if origin.default:
            click.echo("    by default: nothing in the spec sets it")
        for number, place in enumerate(origin.chain):
            click.echo(f"    {'set at' if number == 0 else 'from  '} {place.file}:{place.line}:{place.column}")


def _page(code: str) -> str:
    """The page of a code, from the documentation that is shipped."""
    from importlib import resources

    from mobench_lang.diagnostics import codes

    if code not in codes():
        raise Failure(f"there is no code {code}")
    page = resources.files("mobench_errors").joinpath(f"{code}.md")
    return page.read_text("utf-8")


def _origins(spec: str | None) -> tuple[Origin, ...]:
    if spec is not None and specs.is_build(Path(spec)):
        from mobench_lang.plan.model import origins

        try:
            return origins((Path(spec) / "origins.json").read_bytes())
        except (OSError, ValueError) as error:
            raise Failure(f"{spec} has no readable origins.json: {error}; compile the spec again") from error
    (checked,) = specs.usable((spec,) if spec else ())
    assert checked.checked.bench is not None  # noqa: S101 - usable() has seen to it
    return checked.checked.bench.origins
