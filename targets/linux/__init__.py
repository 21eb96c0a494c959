"""Any Linux board over SSH: a Raspberry Pi, a server, another machine of yours.

In: a `device` with `target = linux` and a `host`. Out: a session. What it is and can is in `manifest.toml`. The Jetson
target is made from the same parts. asyncssh is imported where a board is opened.
"""

from mobench_targets.linux.board import Board
from mobench_targets.linux.target import BoardTarget

target = BoardTarget("linux", Board, profiles=("pi", "pc"))
