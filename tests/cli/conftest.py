"""Verbs that look for phones get an adb server of their own: the user's is neither asked nor started."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest
from mobench_targets.android.virtual.client import adb


@pytest.fixture(scope="module", autouse=True)
def adb_server() -> Iterator[None]:
    """A port that nobody listens on; what a verb starts there is ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "ANDROID_ADB_SERVER_PORT", port)
        yield
        subprocess.run([adb(), "-P", port, "kill-server"], capture_output=True, check=False, timeout=30)
