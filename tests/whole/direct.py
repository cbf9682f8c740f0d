"""Build every stage of a project in this one process: python -m tests.whole.direct FOLDER."""

import sys
from pathlib import Path

from so8t.build import ensure
from so8t.plan import load

if __name__ == "__main__":
    project = Path(sys.argv[1])
    for stage in load(project, "tiny").rows:
        ensure(project, "tiny", stage)
