"""Licences as the Hugging Face hub names them, and whether a text is the one that is meant.  Pure."""

from __future__ import annotations

from so8t.errors import UserError

_NAMES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""
HUB = frozenset(_NAMES.split())
_SPDX = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0",
         "CC-BY-NC-4.0", "GPL-3.0-only", "AGPL-3.0-only", "Unlicense", "ISC")  # fmt: skip
_SAYS = {
    "apache-2.0": "Apache License",
    "mit": "Permission is hereby granted, free of charge",
    "bsd-3-clause": "Redistribution and use in source and binary forms",
    "bsd-2-clause": "Redistribution and use in source and binary forms",
    "mpl-2.0": "Mozilla Public License",
    "gpl-3.0": "GNU GENERAL PUBLIC LICENSE",
    "agpl-3.0": "GNU AFFERO GENERAL PUBLIC LICENSE",
}


def front(identifier: str) -> dict[str, str]:
    """The lines of the card's head: one that the hub does not know is `other`, with its name."""
    name = identifier.lower()
    if name in HUB:
        return {"license": name}
    return {"license": "other", "license_name": name, "license_link": "LICENSE"}


def spdx(identifier: str) -> dict[str, str]:
    """As a bill of materials names it: by SPDX's own spelling where we know it."""
    found = next((name for name in _SPDX if name.lower() == identifier.lower()), None)
    return {"id": found} if found else {"name": identifier}


def check(identifier: str, text: str, file: str) -> None:
    """A text of another licence would be handed over with the model."""
    says = _SAYS.get(identifier.lower())
    if not text.strip():
        raise UserError(f"release: {file} is empty; name the text of {identifier} with --license FILE")
    if says is not None and says not in text:
        raise UserError(
            f"release: {file} is not the text of {identifier}, the licence that gguf.license names; "
            "name the right text with --license FILE"
        )
