"""What `check` says of what engines, devices and files can do (06xx)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobench_lang.check.messages.wording import listing
from mobench_lang.diagnostics import Diagnostic, Label

if TYPE_CHECKING:
    from mobench_lang.packs import Conflict
    from mobench_lang.source import Span


def quant_not_run(span: Span, engine: str, quant: str, known: Sequence[str]) -> Diagnostic:
    """E0601."""
    return Diagnostic(
        "E0601",
        f"engine `{engine}` cannot run {quant}",
        span,
        "no kernel for it",
        helps=(f"it runs {listing(known, 30)}", f"or `exclude where engine == {engine} and quant == {quant}`"),
    )


def engine_not_on_target(span: Span, engine: str, target: str, targets: Sequence[str]) -> Diagnostic:
    """E0602."""
    return Diagnostic(
        "E0602", f"engine `{engine}` does not run on `{target}`", span, helps=(f"it runs on {listing(targets)}",)
    )


def metric_not_delivered(span: Span, metric: str, device: str, target: str, able: Sequence[str]) -> Diagnostic:
    """E0603."""
    helps = (f"targets that can: {listing(able)}",) if able else ("no installed target can",)
    return Diagnostic(
        "E0603",
        f"`{metric}` cannot be measured on `{device}` (target `{target}`)",
        span,
        "not delivered",
        helps=(*helps, f"`measure? {metric}` takes it where it can be had"),
    )


def instrument_cannot(span: Span, title: str, what: str, helps: Sequence[str], chosen: Span | None) -> Diagnostic:
    """E0615. `what` ends the sentence: `cannot …`."""
    return Diagnostic("E0615", f"{title} cannot {what}", span, labels=_chosen(title, chosen, span), helps=tuple(helps))


def _chosen(title: str, where: Span | None, span: Span) -> tuple[Label, ...]:
    return () if where is None or where == span else (Label(where, f"{title} is chosen here"),)


def parameter_without_instrument(span: Span, key: str, setting: str, title: str) -> Diagnostic:
    """E0616."""
    return Diagnostic(
        "E0616",
        f"`{key}` is for {title}, which is not chosen here",
        span,
        helps=(f"choose it by `{setting}`, or remove `{key}`",),
    )


def condition_not_settable(span: Span, condition: str, device: str, target: str, able: Sequence[str]) -> Diagnostic:
    """E0604."""
    helps = (f"targets that can: {listing(able)}",) if able else ()
    return Diagnostic(
        "E0604",
        f"`{condition}` cannot be set on `{device}` (target `{target}`)",
        span,
        "not settable",
        helps=(*helps, f"`{condition}? = …` sets it where it can be set"),
    )


def context_too_small(  # noqa: PLR0917 - the facts of one sentence
    span: Span, model: str, context: int, workload: str, need: int, detail: str
) -> Diagnostic:
    """E0605."""
    return Diagnostic(
        "E0605",
        f"workload `{workload}` needs {need} tokens of context; `{model}` has {context}",
        span,
        detail,
        helps=("shorten the prompt or the output, or exclude the combination",),
        facts=(("need", need), ("context", context)),
    )


def ram_too_small(  # noqa: PLR0917 - the facts of one sentence
    span: Span, model: str, quant: str, size: str, device: str, ram: str
) -> Diagnostic:
    """E0606."""
    return Diagnostic(
        "E0606",
        f"`{model}`{f' in {quant}' if quant else ''} takes {size}; `{device}` has {ram} of RAM",
        span,
        "does not fit",
        helps=('leave it out: `exclude where model.size(quant) > device.ram * 60%  because "would not load"`',),
    )


def airplane_conflict(span: Span, conflict: Conflict, device: str, where: Span | None) -> Diagnostic:
    """E0607."""
    labels = (Label(where, "reached this way"),) if where else ()
    return Diagnostic(
        "E0607",
        f"`{conflict.condition} = {conflict.value}` cuts off `{device}`",
        span,
        conflict.message,
        labels,
        (f"reach it another way, such as by cable, or remove `{conflict.condition}`",),
    )


def missing_model_file(span: Span, file: str, source: Span | None) -> Diagnostic:
    """W0608."""
    labels = (Label(source, "its source"),) if source else ()
    return Diagnostic("W0608", f"there is no file `{file}` yet", span, "not found", labels, ("`exec` will need it",))


def unpinned(span: Span, model: str, source: Span | None) -> Diagnostic:
    """W0609."""
    labels = (Label(source, "its source"),) if source else ()
    return Diagnostic(
        "W0609",
        f"the source of `{model}` is not pinned to a revision",
        span,
        "may change",
        labels,
        helps=('pin it with `mobench lock`, or add `rev = "commit"`; `compile --locked` refuses it',),
    )


def changed_model_file(span: Span, file: str, source: Span | None) -> Diagnostic:
    """W0613."""
    labels = (Label(source, "its source"),) if source else ()
    return Diagnostic(
        "W0613",
        f"`{file}` is not the file that mobench.lock knows",
        span,
        "has changed",
        labels,
        ("bring the file back, or take the new one with `mobench lock --update`; `exec` refuses it as it is",),
    )


def unusable_lock(span: Span, why: str, help_: str) -> Diagnostic:
    """E0614."""
    return Diagnostic("E0614", f"the lock file cannot be used: {why}", span, helps=(help_,))


def storage_too_small(span: Span, device: str, need: str, storage: str) -> Diagnostic:
    """E0610."""
    return Diagnostic(
        "E0610",
        f"the models for `{device}` take {need}; it has {storage} for them",
        span,
        "does not fit",
        helps=("exclude some models or quants on this device, or free storage on it and raise `storage`",),
    )


def meter_too_slow(span: Span, meter: str, interval: str, window: str, workload: str) -> Diagnostic:
    """W0611."""
    return Diagnostic(
        "W0611",
        f"meter `{meter}` reads every {interval}; 30 readings do not fit into the {window} of `{workload}`",
        span,
        "no energy will be reported",
        helps=("lengthen the `duration` of the workload, or use a faster meter",),
    )


def meter_not_on_target(span: Span, meter: str, target: str, targets: Sequence[str]) -> Diagnostic:
    """E0612."""
    return Diagnostic(
        "E0612", f"meter `{meter}` cannot be used with `{target}`", span, helps=(f"it goes with {listing(targets)}",)
    )


def not_all_tried(span: Span, axes: Sequence[str], count: int, limit: int) -> Diagnostic:
    """W0617."""
    return Diagnostic(
        "W0617",
        f"of {count:,} combinations of {listing(axes)} only the first {limit:,} were looked at",
        span,
        "with its values",
        helps=("`exec` finds out what the others cannot do; with a shorter list `check` sees them all",),
    )
