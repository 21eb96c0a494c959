"""Execution: a build folder in, a run folder out (docs/run-folder.md).

The face for the command line is `execute` / `execute_sync` with `Options`, `RunResult` and the progress records.
"""

from mobench_lang.execute.api import Options, RunResult, execute, execute_sync
from mobench_lang.execute.errors import ExecError

__all__ = ["ExecError", "Options", "RunResult", "execute", "execute_sync"]
