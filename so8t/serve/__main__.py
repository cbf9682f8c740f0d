"""python -m so8t.serve: what `doit serve` does, where doit is not at hand (a container, a service manager)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from so8t.errors import UserError
from so8t.serve.start import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m so8t.serve", description="Answer questions over HTTP.")
    parser.add_argument("--profile", default="tiny", help="whose serve.yaml and model (default: %(default)s)")
    parser.add_argument("--development", action="store_true", help="start without an audit key")
    chosen = parser.parse_args()
    try:
        run(Path.cwd(), chosen.profile, chosen.development)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
