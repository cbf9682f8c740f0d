"""Build the data stages of a project in this one process: python -m tests.whole.direct FOLDER."""

import sys
from pathlib import Path

from so8t.engine.ensure import ensure
from tests.whole.pico import DATA

if __name__ == "__main__":
    project = Path(sys.argv[1])
    for stage in DATA:
        ensure(project, "tiny", stage)
