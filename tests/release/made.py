"""A finished profile, made in a moment: the files of a small graph under manifests, and no stage runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from so8t.store import artifact, journal, publish
from so8t.store.cache import Store
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import Layout
from so8t.store.manifest import Manifest
from so8t.weights import header
from so8t.weights.header import Tensor
from tests.report import made as reported

TERMS = "CC-BY-4.0; collected by hand"
SPECS: dict[str, dict[str, Any]] = {
    "raw": {"sources": [{"name": "own", "paths": ["data/own.jsonl"], "terms": TERMS, "trust": "high"}]},
    "cleaned": {"length": {"min_chars": 4}, "language": {"min_japanese": 0.3}, "pii": {"kinds": ["email", "phone"]}},
    "labelled": {},
    "thinking_sft": {"chat": "phi3"},
    "base_model": {"source": {"kind": "tiny"}},
    "chat_format": {},
    "adapter": {"train": {"learning_rate": 0.002}},
    "baked_model": {},
    "gguf": {"name": "pico", "license": "apache-2.0", "description": "A pico model.", "base": None, "types": ["f16"]},
    "modelfile": {},
    "evaluation": {},
}
TAKES = {
    "raw": (),
    "cleaned": ("raw",),
    "labelled": ("cleaned",),
    "thinking_sft": ("labelled",),
    "base_model": ("thinking_sft",),
    "chat_format": ("base_model",),
    "adapter": ("base_model", "thinking_sft"),
    "baked_model": ("base_model", "adapter"),
    "gguf": ("baked_model", "chat_format", "thinking_sft"),
    "modelfile": ("gguf", "chat_format"),
    "evaluation": ("gguf", "thinking_sft"),
}
SHIPS = {"gguf": ("models/*",), "modelfile": ("ollama/*",)}
CONVERSATION = {
    "id": "r0",
    "messages": [{"role": "user", "content": "秘密の質問"}, {"role": "assistant", "content": "判定: ALLOW"}],
    "text": "秘密の質問 判定: ALLOW",
    "label": "ALLOW",
    "confidence": 1.0,
    "split": "train",
}


def safetensors() -> bytes:
    tensors = [Tensor("model.embed.weight", "F32", (4, 8)), Tensor("model.norm.weight", "F32", (8,))]
    head, _ = header.encode(tensors)
    return head + np.arange(40, dtype=np.float32).tobytes()


def write_gguf(path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_string("general.name", "pico")
    writer.add_tensor("token_embd.weight", np.arange(33, dtype=np.float32))  # not a multiple of 32: filling follows
    writer.add_tensor("output_norm.weight", np.arange(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def contents(stage: str) -> dict[str, Any]:
    """What each artifact holds: documents as the report's tests have them, and the files that leave the house."""
    found: dict[str, Any] = {
        name.partition("/")[2]: document
        for name, document in reported.documents().items()
        if name.startswith(f"{stage}/")
    }
    more: dict[str, dict[str, Any]] = {
        "raw": {"raw.jsonl": '{"text": "秘密の質問"}\n'},
        "cleaned": {"cleaned.jsonl": '{"text": "秘密の質問"}\n'},
        "labelled": {"labelled.jsonl": '{"text": "秘密の質問"}\n'},
        "thinking_sft": {
            f"splits/{name}.jsonl": json.dumps(CONVERSATION, ensure_ascii=False) + "\n" for name in ("train", "test")
        },
        "base_model": {"model/model.safetensors": safetensors(), "model/LICENSE": "The base's own terms.\n"},
        "chat_format": {},
        "adapter": {"adapter_model.safetensors": safetensors()},
        "baked_model": {
            "model/model.safetensors": safetensors(),
            "model/config.json": {"architectures": ["Phi3ForCausalLM"]},
            "model/tokenizer.json": {"model": {}},
            "model/LICENSE": "The base's own terms.\n",
        },
        "gguf": {"models/pico.gbnf": 'root ::= "a"\n'},
        "modelfile": {
            f"ollama/Modelfile.{kind}": f'FROM ../../gguf/models/pico-{kind}.gguf\nTEMPLATE "{{{{ .Prompt }}}}"\n'
            for kind in ("f16", "q4_k_m")
        },
        "evaluation": {},
    }  # fmt: skip
    return {**found, **more[stage]}


def profile(project: Path, specs: Mapping[str, Any] = SPECS) -> tuple[Layout, Store]:
    """All artifacts of a profile `own`, and a journal that tells of them."""
    layout = Layout(project, project / "artifacts", "own")
    store = Store(layout.artifacts, 1 << 20, None)
    (project / "LICENSE").write_text("Apache License\nVersion 2.0\n", "utf-8")
    made: dict[str, Manifest] = {}
    for at, (stage, ups) in enumerate(TAKES.items(), 1):
        inputs = {f"{up}/{path}": digest for up in ups for path, digest in made[up].digests.items()}
        made[stage] = put(layout, stage, contents(stage), specs[stage], inputs or {"data/own.jsonl": "ab" * 32})
        journal.append(layout, stage, made[stage].key, "built", float(at))
    return layout, store


def put(
    layout: Layout, stage: str, files: Mapping[str, Any], spec: Mapping[str, Any], inputs: Mapping[str, str]
) -> Manifest:
    folder = layout.folder(stage)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(content))
    if stage == "gguf":
        write_gguf(folder / "models" / "pico-f16.gguf")
        write_gguf(folder / "models" / "pico-q4_k_m.gguf")
    code, packages = {f"stages.{stage}": "ef" * 16}, {"numpy": "2.0"}
    print_ = Fingerprint(stage, spec, inputs, code, packages)
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    gives = sorted({path.parts[0] + "/" * (len(path.parts) > 1) for path in paths})
    manifest = publish.seal(folder, print_, gives, SHIPS.get(stage, ()))
    artifact.record(layout, stage, manifest, folder)
    return manifest


def encoded(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
