"""The stage chat_format: what llama.cpp and Ollama will read is known before anything is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from so8t.engine import plan
from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.formats import chat, suite, thinking
from so8t.formats.chat import PHI3, ChatFormat
from so8t.formats.thinking import ThinkingFormat
from so8t.models import added
from stages import chat_format
from stages.chat_format import Spec
from tests.bases import phi35, templates
from tests.gguf import folders

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phi-3.5 with a small vocabulary."""
    texts = [
        piece.text
        for conversation in suite.conversations(thinking.TAGS)
        for piece in chat.segments(suite.trained(conversation.messages, thinking.TAGS), PHI3)
        if not piece.structure
    ]
    return phi35.build(tmp_path_factory.mktemp("phi35"), phi35.train(texts * 3, 700))


def build(
    base: Path,
    root: Path,
    declared: ChatFormat = PHI3,
    targets: Sequence[str] = (),
    thinks: ThinkingFormat = thinking.TAGS,
    **spec: Any,
) -> dict[str, Any]:
    inputs = {name: root / name for name in ("base_model", "thinking_sft")}
    for folder in (*inputs.values(), root / "out"):
        folder.mkdir()
    shutil.copytree(base, inputs["base_model"] / "model")
    (inputs["base_model"] / "base.json").write_text('{"remote_code": false}', "utf-8")
    given = {"system": "短く。", "chat": chat.to_json(declared), "thinking": thinking.to_json(thinks)}
    (inputs["thinking_sft"] / "chat_format.json").write_text(json.dumps(given), "utf-8")
    reads = {"adapter.lora.targets": list(targets)}
    chat_format.build(Inputs(inputs, reads=reads), root / "out", Spec(**spec))
    return {path.stem: json.loads(path.read_bytes()) for path in sorted((root / "out").iterdir())}


def test_phi35_is_found_in_its_own_template_and_read_alike_everywhere(published: Path, tmp_path: Path) -> None:
    found = build(published, tmp_path, replace(PHI3, name="auto"), strings=2000)

    declared = chat.from_json(found["chat_format"]["chat"])
    assert replace(declared, role_tokens=()) == replace(PHI3, role_tokens=())
    assert set(declared.role_tokens) == set(PHI3.role_tokens)
    assert found["chat_format"]["jinja"] == chat.jinja_template(PHI3)
    assert found["chat_format"]["system"] == "短く。"
    assert found["proof"] == {"own_template": True, "accepted": {}, "conversations": 34, "strings": 2000}
    assert found["vocabulary"] == {"pre_tokenizer": "", "accept": []}
    assert found["chat_format"]["thinking"]["spaced"] is True  # llama.cpp prints ` <think-task>`


def test_a_vocabulary_that_reads_no_space_before_a_text_lets_no_answer_begin_with_one(tmp_path: Path) -> None:
    found = build(folders.build("phi3", tmp_path / "base"), tmp_path, strings=0)

    assert "spaced" not in found["chat_format"]["thinking"]


def test_a_history_without_thinking_is_proven_in_every_engine(published: Path, tmp_path: Path) -> None:
    dropping = replace(thinking.TAGS, history=False)

    found = build(published, tmp_path, thinks=dropping, strings=0)

    assert found["proof"]["conversations"] == 34
    assert thinking.from_json(found["chat_format"]["thinking"]).history is False
    assert "split('<final>')" in found["chat_format"]["jinja"]


def changed(base: Path, folder: Path, template: str) -> Path:
    """The same base with another template."""
    shutil.copytree(base, folder)
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}), "utf-8")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    return folder


def test_a_space_before_the_first_text_of_all_is_read_by_no_engine(published: Path, tmp_path: Path) -> None:
    """Mistral's third tokenizer reads one there; here a token always stands before, as in its own chats."""
    base = changed(published, tmp_path / "base", templates.MISTRAL3.replace("{{ bos_token }}", ""))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (base / name).read_text("utf-8").replace("<|user|>", "[INST]").replace("<|assistant|>", "[/INST]")
        (base / name).write_text(text.replace('"rstrip": true', '"rstrip": false'), "utf-8")
    document = json.loads((base / "tokenizer.json").read_bytes())
    first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    document |= {"normalizer": None, "pre_tokenizer": first}
    (base / "tokenizer.json").write_text(json.dumps(document), "utf-8")

    found = build(base, tmp_path, replace(PHI3, name="auto"), strings=1000)

    declared = chat.from_json(found["chat_format"]["chat"])
    assert (declared.name, declared.lead, declared.system_last) == ("own", " ", True)
    assert found["proof"] == {"own_template": True, "accepted": {}, "conversations": 34, "strings": 1000}


def test_a_template_other_than_declared_is_refused_with_the_first_difference(published: Path, tmp_path: Path) -> None:
    base = changed(published, tmp_path / "base", phi35.TEMPLATE.replace("<|user|>", "User: "))

    with pytest.raises(StageError) as refused:
        build(base, tmp_path)

    assert str(refused.value) == (
        "chat format: the base's own template writes conversation 'user alone' otherwise than the declared format "
        "phi3\n"
        "  declared: '<|user|>\\n明日の天気は？<|end|>\\n'\n"
        "  own:      'User: \\n明日の天気は？<|end|>\\n<|' (from character 0 on)\n"
        "declare the format that the base was trained with (chat in thinking_sft.yaml)"
    )


def test_a_stop_token_that_the_base_has_not_is_refused_not_read_as_unknown(published: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        build(published, tmp_path, chat.CHATML)

    assert str(refused.value) == (
        "chat format chatml: <|im_end|> should end an answer and is not a token of this base; "
        "take the base's own format (chat: auto in thinking_sft.yaml), or declare one that ends with its tokens"
    )


def test_lora_targets_that_the_base_has_not_are_refused_before_the_training(published: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        build(published, tmp_path, targets=["o_proj", "gate_proj", "v_proj"])

    assert str(refused.value) == (
        "lora.targets: this Phi3ForCausalLM has no module gate_proj, v_proj; its layers have "
        "down_proj (x4), gate_up_proj (x4), o_proj (x4), qkv_proj (x4)"
    )


def test_phi35_with_the_markers_as_tokens_is_read_alike_everywhere(published: Path, tmp_path: Path) -> None:
    """Its special tokens swallow the white space behind them, and llama.cpp has that of markers, too."""
    tokens = added.add(published, tmp_path / "given", thinking.TAGS.markers)
    found = build(tmp_path / "given", tmp_path, replace(PHI3, name="auto"), strings=200)

    assert [token.number for token in tokens] == [*range(711, 719)]
    assert (found["proof"]["accepted"], found["proof"]["conversations"]) == ({}, 34)


def test_the_adapters_targets_are_part_of_the_key(root: Path) -> None:
    """Without that, an edit of the targets would be looked at by the adapter alone, behind a current chat_format."""
    row = plan.load(root, "tiny").rows["chat_format"]

    assert (row.reads, row.spec["adapter.lora.targets"]) == ({"adapter.lora.targets": []}, [])


def test_an_answer_that_nothing_ends_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        build(published, tmp_path, replace(PHI3, assistant=chat.Turn("<|assistant|>\n", "<|user|>\n")))

    assert str(refused.value) == (
        "chat format phi3: what stands behind an answer, '<|user|>\\n', has none of its stop tokens "
        "(<|end|>, <|endoftext|>), so that no answer would learn to end; name the token that ends a turn"
    )


def test_a_role_token_that_the_base_reads_as_text_is_refused(published: Path, tmp_path: Path) -> None:
    declared = replace(PHI3, role_tokens=("<|tool|>",))

    with pytest.raises(StageError, match=r"^chat format phi3: <\|tool\|> is \d+ tokens of this base, not one; "):
        build(published, tmp_path, declared)


def test_a_base_without_an_unknown_token_is_no_crash(tmp_path: Path) -> None:
    base = folders.build("qwen3", tmp_path / "base")

    found = build(base, tmp_path, strings=400)
    assert found["proof"]["accepted"] == {}

    (tmp_path / "again").mkdir()
    with pytest.raises(StageError, match=r"^chat format phi3: <\|halt\|> should end an answer and is not a token"):
        build(base, tmp_path / "again", replace(PHI3, stop=("<|halt|>",)))


def test_answers_that_come_back_as_other_text_are_refused_before_the_training(tmp_path: Path) -> None:
    base = folders.build("qwen3", tmp_path / "base")
    document = json.loads((base / "tokenizer.json").read_bytes())
    (base / "tokenizer.json").write_text(json.dumps({**document, "normalizer": {"type": "Lowercase"}}), "utf-8")

    with pytest.raises(StageError) as refused:
        build(base, tmp_path)

    assert str(refused.value) == (
        "chat format: the answer of conversation 'ends with an answer', as the training learns it, comes back from "
        "llama.cpp as other text, so that no answer would keep the thinking format\n"
        "  learned:   '<final>判定: ALLOW\\n確信度: 0'\n"
        "  llama.cpp: '<final>判定: allow\\n確信度: 0'\n"
        "take another base, or a tokenizer.json that keeps texts as they are"
    )


def test_markers_that_no_engine_prints_are_refused_before_the_training(tmp_path: Path) -> None:
    base = folders.build("phi3", tmp_path / "base")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (base / name).read_text("utf-8")
        (base / name).write_text(text.replace('"special": false', '"special": true'), "utf-8")

    with pytest.raises(StageError, match=r"^chat format: <think-task> comes back from the tokenizer as ''"):
        build(base, tmp_path)


def test_a_difference_that_llama_cpp_cannot_mend_is_refused_or_accepted_by_name(tmp_path: Path) -> None:
    base = folders.build("qwen3", tmp_path / "base")  # reads composed letters, as Qwen's tokenizer does
    document = json.loads((base / "tokenizer.json").read_bytes())
    (base / "tokenizer.json").write_text(json.dumps({**document, "normalizer": {"type": "NFC"}}), "utf-8")

    with pytest.raises(StageError) as refused:
        build(base, tmp_path, strings=400)
    (tmp_path / "again").mkdir()
    found = build(base, tmp_path / "again", strings=400, accept=("decomposed",))

    message = str(refused.value)
    assert message.startswith("chat format: llama.cpp reads ")
    assert " texts of the kind decomposed otherwise than the training, the first of them '" in message
    assert message.endswith(
        "\naccept the kind (in chat_format.yaml) if the model may read such texts as it was not trained to"
    )
    assert list(found["proof"]["accepted"]) == ["decomposed"]
    assert found["vocabulary"]["accept"] == ["decomposed"]


def test_what_others_read_with_transformers_is_proven_too(tmp_path: Path) -> None:
    base = folders.build("qwen2", tmp_path / "base")  # AutoTokenizer composes letters for this kind, the file does not

    with pytest.raises(StageError) as refused:
        build(base, tmp_path, strings=800)
    (tmp_path / "again").mkdir()
    found = build(base, tmp_path / "again", strings=800, accept=("decomposed",))

    message = str(refused.value)
    assert message.startswith("chat format: transformers' AutoTokenizer reads ")
    assert " texts of the kind decomposed otherwise than the training, the first of them '" in message
    assert "\n  AutoTokenizer: " in message
    assert list(found["proof"]["accepted"]) == ["decomposed"]


def test_a_kind_that_nobody_may_accept_is_refused() -> None:
    with pytest.raises(ValidationError, match="accept: japanese must be one of combining_marks, control_characters, "):
        Spec(accept=("japanese",))
