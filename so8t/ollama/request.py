"""From a Modelfile to the body of POST /api/create, as `ollama create` makes it."""

from __future__ import annotations

from typing import Any

from so8t.errors import StageError
from so8t.ollama import modelfile, parameters, syntax


def source(text: str, file: str) -> str:
    """What FROM names."""
    return next(command.value for command in syntax.parse(text, file) if command.name == "from")


def creation(text: str, file: str, model: str, blob: tuple[str, str]) -> dict[str, Any]:
    """`blob`: the GGUF's name and its digest, in the place of FROM."""
    if problems := modelfile.problems(text, file):
        raise StageError("\n".join(problems))
    commands = syntax.parse(text, file)
    body: dict[str, Any] = {"model": model, "files": dict([blob]), "stream": True}
    options: dict[str, Any] = {}
    for command in commands:
        if command.name == "parameter" and command.key == "stop":
            options.setdefault("stop", []).append(command.value)
        elif command.name == "parameter":
            options[command.key] = parameters.typed(command.key, command.value)
        elif command.name == "license":
            body.setdefault("license", []).append(command.value)
        elif command.name in ("template", "system"):
            body[command.name] = command.value
        elif command.name != "from":
            raise StageError(f"{file}:{command.line}: {command.name.upper()} is not one that this import knows")
    return {**body, "parameters": options}
