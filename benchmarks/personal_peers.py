"""What others find in texts, as JSON from stdin to stdout; personal.py runs it with the peers' own Python."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Spans = list[list[Any]]


def detect_secrets(texts: Sequence[str]) -> list[Spans]:
    """As it is used: a file, read line by line with all its plugins and filters."""
    from detect_secrets.core import scan
    from detect_secrets.settings import default_settings

    lines = [" ".join(text.split("\n")) for text in texts]
    found: list[Spans] = [[] for _ in lines]
    with tempfile.TemporaryDirectory() as folder, default_settings():
        path = Path(folder) / "texts.txt"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        for one in scan.scan_file(str(path)):
            at, value = one.line_number - 1, one.secret_value or ""
            start = lines[at].find(value)
            found[at].append([start, start + len(value), "secret"])
    return found


def presidio(texts: Sequence[str]) -> list[Spans]:
    """Its recognisers that need no model of a language; telephone numbers as in Japan."""
    from presidio_analyzer import predefined_recognizers as known

    logging.disable(logging.CRITICAL)  # a list of domains that it would fetch
    asked = {
        "email": known.EmailRecognizer(),
        "ip": known.IpRecognizer(),
        "card": known.CreditCardRecognizer(),
        "phone": known.PhoneRecognizer(supported_regions=("JP",)),
    }
    return [
        [
            [one.start, one.end, kind]
            for kind, recogniser in asked.items()
            for one in recogniser.analyze(text, recogniser.supported_entities, None)
        ]
        for text in texts
    ]


PEERS: dict[str, Callable[[Sequence[str]], list[Spans]]] = {"detect-secrets": detect_secrets, "presidio": presidio}


def main() -> None:
    texts = json.load(sys.stdin)
    told = {}
    for name, find in PEERS.items():
        find(texts[:2])  # imports and tables are made once
        begun = time.process_time()
        found = find(texts)
        told[name] = {"seconds": time.process_time() - begun, "found": found}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
