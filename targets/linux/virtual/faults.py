"""The faults that a virtual board may have, as they stand behind its profile: `orin-nano:no_sudo,reboot=20`.

In: that text. Out: `Faults`. What they do is done by the board.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from mobench_lang.plugins import DeviceError


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults from the beginning, and those that come so many seconds later (`cut`, `silent`, `reboot`, `gone`)."""

    no_sudo: bool = False
    """sudo wants a password."""
    no_key: bool = False
    """No key opens the board."""
    other_key: bool = False
    """It shows another host key than the known one."""
    hot: int | None = None
    """Its temperatures, in m°C; it is slow then."""
    clock_off: int = 0
    """Seconds that its wall clock is ahead."""
    storage: int | None = None
    """KiB that there are for everything of mobench."""
    cut: int | None = None
    silent: int | None = None
    reboot: int | None = None
    gone: int | None = None

    def later(self) -> Iterator[tuple[str, int]]:
        """The faults that come later, with their seconds."""
        for name in ("cut", "silent", "reboot", "gone"):
            seconds = getattr(self, name)
            if seconds is not None:
                yield name, seconds


def read_faults(text: str) -> Faults:
    """The faults of a profile's options. Raises DeviceError."""
    known = {field.name: isinstance(field.default, bool) for field in fields(Faults)}
    found: dict[str, bool | int] = {}
    for word in filter(None, text.split(",")):
        name, equals, number = word.partition("=")
        if name not in known or known[name] == bool(equals) or (equals and not number.lstrip("-").isdigit()):
            raise DeviceError(
                "bad_profile",
                f"{word!r} is no fault of a virtual board: no_sudo, no_key, other_key, hot=M°C, clock_off=SECONDS, "
                "storage=KIB, and cut, silent, reboot or gone after =SECONDS, with commas between",
            )
        found[name] = int(number) if equals else True
    return Faults(**found)  # type: ignore[arg-type]  # of the types that `known` asked for
