"""`events.jsonl`: what the instrument said about one launch.

In: the file of a trial folder, complete or not. Out: its events by kind, and a list of problems. Guarantee: a torn
last line, unknown events and broken lines never stop the reader and are never silent: each is a problem with a
stable code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mobench_lang.collect.lines import whole_lines
from mobench_lang.protocol import End, Event, Fault, Memory, Pass, Phase, Request, Scored, Start, Timed, Told, Used

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass(slots=True)
class Events:
    """The events of one launch by kind. `problems` are codes: `torn_tail`, `unreadable_events`, `no_end`."""

    start: Start | None = None
    used: Used | Told | None = None
    end: End | None = None
    phases: list[Phase] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    marks: list[Memory] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_events(path: Path) -> Events:
    """The events of a file; a missing file has none."""
    lines, torn = whole_lines(path)
    events = Events()
    unreadable = False
    for line in lines:
        try:
            event = _EVENT.validate_json(line)
        except ValidationError:
            unreadable = True
            continue
        _keep(events, event)
    if torn:
        events.problems.append("torn_tail")
    if unreadable:
        events.problems.append("unreadable_events")
    if events.end is None:
        events.problems.append("no_end")
    return events


def _keep(events: Events, event: Event) -> None:
    match event:
        case Request():
            events.requests.append(event)
        case Phase():
            events.phases.append(event)
        case Memory():
            events.marks.append(event)
        case Pass():
            events.passes.append(event)
        case Scored():
            events.scores.append(event)
        case Fault():
            events.faults.append(event)
        case Start():
            events.start = event
        case Timed():
            events.timed.append(event)
        case Used() | Told():
            events.used = event
        case End():
            events.end = event
