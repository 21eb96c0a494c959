"""The target plug-in of Jetson boards: that of all boards, and they compile a runner with CUDA for themselves.

In: a board's address, `Work`. Out: the program. Importing this loads no SSH.
"""

from __future__ import annotations

from pathlib import Path

from mobench_targets.jetson.board import Jetson
from mobench_targets.linux.target import BoardTarget

from mobench_lang.plugins import Report, Work

PROFILES = ("nano", "xavier", "orin-nano", "agx-orin", "thor")

# Which GPU it is, from the words of the module's name: Orin Nano before Nano, and so on.
ARCH = """model=$(tr -d '\\000' <"${MB_SYS:-/sys}/firmware/devicetree/base/model" 2>/dev/null)
case $model in
    *Thor*) MB_CUDA_ARCH=110 ;;
    *Orin*) MB_CUDA_ARCH=87 ;;
    *Xavier*) MB_CUDA_ARCH=72 ;;
    *TX2*) MB_CUDA_ARCH=62 ;;
    *Nano* | *TX1*) MB_CUDA_ARCH=53 ;;
    *) MB_CUDA_ARCH= ;;
esac
export MB_CUDA_ARCH"""


class JetsonTarget(BoardTarget):
    """The plug-in; a `Simulator` and a `Workshop`."""

    builds = "linux-arm64+cuda"
    runtime = "nvidia"

    def __init__(self) -> None:
        super().__init__("jetson", Jetson, PROFILES)

    async def carry_out(self, address: str, work: Work, out: Path, report: Report) -> str:
        """Let the board at an address compile a program. Raises DeviceError."""
        return await self.build_on(address, work, ARCH, out, report)
