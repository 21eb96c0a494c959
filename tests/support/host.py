"""An exec in a process of its own, for tests that end it: `python -m tests.support.host BUILD RUNS`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from mobench_lang.cli.progress import showing
from mobench_lang.execute import ExecError, Options, execute_sync


def main() -> int:
    build, runs = map(Path, sys.argv[1:3])
    try:
        with showing(sys.stderr) as report:
            result = execute_sync(build, runs, Options(cache=runs.parent / "cache"), report)
    except ExecError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    print(json.dumps({**asdict(result), "folder": str(result.folder)}))
    return 130 if result.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
