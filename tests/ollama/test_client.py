"""The client against a stand-in over real HTTP: what it sends, and what it says when something is wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from so8t.errors import StageError
from so8t.formats import gotemplate
from so8t.formats.chat import PHI3
from so8t.formats.thinking import TAGS, Final, Thinking, compose
from so8t.ollama import asking, client, host, modelfile, proof, request
from so8t.ollama.asking import Reply, Way
from so8t.ollama.client import Client
from so8t.ollama.modelfile import Modelfile
from so8t.ollama.parameters import Parameters
from tests.formats import untrained
from tests.ollama.standin import StandIn
from tests.ollama.standin_http import running

TEMPLATE = gotemplate.template(PHI3, TAGS)
SAID = Thinking("営業時間の質問", "a<b & c", "答える\x85\u2028", Final("ALLOW", 0.98, "一般的", "十時から🍣です。"))
TEXT = modelfile.write(
    Modelfile("./m.gguf", TEMPLATE, "判定します。", Parameters(num_ctx=512), ("<|end|>", "</final>"), "MIT"),
    "Modelfile",
)


CHAT = Way("/api/chat", think=True, stream=True)


def silent(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ollama")
    untrained.write(folder / "m.gguf", untrained.train(folder / "tokenizer", TAGS, 700), TAGS)
    return folder / "m.gguf"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with running(StandIn(tmp_path, lambda prompt: compose(SAID, TAGS) + "<|end|>")) as state:
        yield state


def creation(gguf: Path, **changes: Any) -> dict[str, Any]:
    return {**request.creation(TEXT, "Modelfile", "so8t:f16", ("m.gguf", client.digest(gguf))), **changes}


def test_the_request_says_what_the_modelfile_says() -> None:
    assert request.creation(TEXT, "Modelfile", "so8t:f16", ("m.gguf", "sha256:1")) == {
        "model": "so8t:f16",
        "files": {"m.gguf": "sha256:1"},
        "stream": True,
        "template": TEMPLATE,
        "system": "判定します。",
        "license": ["MIT"],
        "parameters": {
            "num_ctx": 512,
            "num_predict": 2048,
            "top_k": 1,
            "temperature": 0.0,
            "repeat_penalty": 1.0,
            "stop": ["<|end|>", "</final>"],
        },
    }


def test_a_model_goes_in_and_answers_in_two_parts(server: StandIn, gguf: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with Client(server.url, 10) as ollama:
        assert ollama.version() == "0.32.15"
        assert ollama.upload(gguf, client.digest(gguf), lambda *step: told.append(step))
        ollama.create(creation(gguf), lambda *step: told.append(step))
        proof.check_imported("so8t:f16", ollama.show("so8t:f16"), TEMPLATE, thinks=True)
        reply = asking.ask(ollama, "so8t:f16", [{"role": "user", "content": "何時から？"}], CHAT)
        digest = ollama.model_digest("so8t:f16")

    size = gguf.stat().st_size
    assert told[0] == ("sending m.gguf", size, size)
    assert [what for what, *_ in told[1:]] == [
        "parsing GGUF",
        "copying GGUF",
        f"using existing layer {client.digest(gguf)}",
        "writing manifest",
        "success",
    ]
    assert proof.read("so8t:f16", reply, TAGS, thinks=True) == SAID
    assert (reply.content, reply.done_reason) == (
        "判定: ALLOW\n確信度: 0.98\n理由: 一般的\n回答: 十時から🍣です。",
        "stop",
    )
    assert server.prompts == ["<|system|>\n判定します。<|end|>\n<|user|>\n何時から？<|end|>\n<|assistant|>\n"]
    assert digest == f"sha256:{server.models['so8t:f16'].digest}"


def test_what_has_arrived_is_not_sent_again(server: StandIn, gguf: Path) -> None:
    digest = client.digest(gguf)
    with Client(server.url, 10) as ollama:
        assert [ollama.upload(gguf, digest, silent) for _ in range(2)] == [True, False]

    assert server.asked == ["HEAD /api/blobs/", "POST /api/blobs/", "HEAD /api/blobs/"]


def test_an_upload_that_broke_off_begins_anew(server: StandIn, gguf: Path) -> None:
    digest = client.digest(gguf)
    with Client(server.url, 10) as ollama:
        server.cuts_upload_after = 1000
        with pytest.raises(StageError, match=rf"^ollama: POST {server.url}/api/blobs/{digest} failed: "):
            ollama.upload(gguf, digest, silent)
        server.cuts_upload_after = None

        assert ollama.upload(gguf, digest, silent)


def refusal(do: Any) -> str:
    with pytest.raises(StageError) as refused:
        do()
    return str(refused.value)


def test_what_the_server_refuses_is_said_in_its_words(server: StandIn, gguf: Path, tmp_path: Path) -> None:
    right, wrong = client.digest(gguf), "sha256:" + "0" * 64
    torn, text = tmp_path / "torn.gguf", tmp_path / "text.gguf"
    torn.write_bytes(gguf.read_bytes()[:-100])
    text.write_bytes(b"no model")
    with Client(server.url, 10) as ollama:
        assert refusal(lambda: ollama.upload(gguf, wrong, silent)) == (
            f'ollama: POST /api/blobs/{wrong}: 400: digest mismatch, expected "{wrong}", got "{right}"'
        )
        assert refusal(lambda: ollama.has_blob("sha256:1")) == "ollama: HEAD /api/blobs/sha256:1: 400: no reason given"
        for path in (gguf, torn, text):
            ollama.upload(path, client.digest(path), silent)
        for changes, said in (
            ({"files": {"m.gguf": client.digest(torn)}}, "ollama: unexpected EOF"),
            ({"files": {"m.gguf": client.digest(text)}}, "ollama: unknown type"),
            ({"template": "{{ if }}"}, "ollama: template error: line 1: {{ if }}: a value is missing"),
            ({"model": "a b"}, "ollama: POST /api/create: 400: invalid model name"),
            ({"parameters": {"top_p": "x"}}, "ollama: POST /api/create: 400: invalid option provided: top_p"),
        ):
            body = creation(gguf, **changes)
            assert refusal(lambda body=body: ollama.create(body, silent)) == said
        assert refusal(lambda: ollama.show("so8t")) == "ollama: POST /api/show: 404: model 'so8t' not found"
        assert refusal(lambda: ollama.model_digest("so8t")) == (
            "ollama: the server reports success, but does not list so8t:latest"
        )


def test_a_template_without_thinking_is_found_before_the_chat(server: StandIn, gguf: Path) -> None:
    plain = gotemplate.template(PHI3, None)
    with Client(server.url, 10) as ollama:
        ollama.upload(gguf, client.digest(gguf), silent)
        ollama.create(creation(gguf, template=plain), silent)
        shown = ollama.show("so8t:f16")

        assert refusal(lambda: asking.ask(ollama, "so8t:f16", [{"role": "user", "content": "?"}], CHAT)) == (
            'ollama: POST /api/chat: 400: "so8t:f16" does not support thinking'
        )
    assert refusal(lambda: proof.check_imported("so8t:f16", shown, plain, thinks=True)) == (
        "ollama: the server finds no thinking in the TEMPLATE of so8t:f16 (capabilities: completion)"
    )
    assert refusal(lambda: proof.check_imported("so8t:f16", shown, TEMPLATE, thinks=True)) == (
        "ollama: so8t:f16 has another TEMPLATE than its Modelfile: the server chose one of its own"
    )


def test_an_answer_that_breaks_off_is_no_answer(server: StandIn, gguf: Path) -> None:
    server.cuts_chat = True
    with Client(server.url, 10) as ollama:
        ollama.upload(gguf, client.digest(gguf), silent)
        ollama.create(creation(gguf), silent)

        assert refusal(lambda: asking.ask(ollama, "so8t:f16", [{"role": "user", "content": "?"}], CHAT)) == (
            "ollama: the answer of so8t:f16 broke off before it was done"
        )


def test_an_answer_without_thinking_or_out_of_format_proves_nothing() -> None:
    hint = "see in evaluation whether the model keeps the format at all, and raise num_predict if it was cut off"

    assert refusal(lambda: proof.read("m", Reply("", "こんにちは", "stop"), TAGS, thinks=True)) == (
        "ollama: the answer of m is not in the thinking format (character 0: expected <think-, found 'こんにちは'; "
        f"it ended with 'stop'): thinking '', content 'こんにちは'; {hint}"
    )
    assert refusal(lambda: proof.read("m", Reply("task>課題", "", "length"), TAGS, thinks=True)).startswith(
        "ollama: the answer of m is not in the thinking format (character 14: expected </think-task><think-safety>, "
    )


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.8.9", "is 0.8.9; 0.9.0 or later is needed"),
        ("0.9.0-rc1", None),
        ("0.10.0", None),
        ("0.0.0", None),
        ("", "is no Ollama; 0.9.0 or later is needed"),
    ],
)
def test_a_server_that_is_too_old_is_refused(tmp_path: Path, version: str, said: str | None) -> None:
    with running(StandIn(tmp_path, str, version)) as server, Client(server.url, 10) as ollama:
        if said is None:
            assert ollama.version() == version
        else:
            assert refusal(ollama.version) == f"ollama: the server at {server.url} {said}"


def test_a_missing_server_is_named_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Client(url, 10) as ollama:
        assert refusal(ollama.version) == (
            f"ollama: no server answers at {url}; start one with `ollama serve`, or set OLLAMA_HOST"
        )


def test_another_server_is_not_taken_for_ollama() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: Any) -> None:
            pass

    other = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{other.server_address[1]}"
    try:
        with Client(url, 10) as ollama:
            assert refusal(ollama.version) == (
                f"ollama: {url} answers b'<html>', which no Ollama says; is OLLAMA_HOST right?"
            )
    finally:
        other.shutdown()
        other.server_close()


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:66000", "http://example.com:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]:1337", "http://[::1]:1337"),
        ("::1", "http://[::1]:11434"),
        (' " 1.2.3.4 " ', "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("ollama.com", "https://ollama.com:443"),
    ],
)
def test_the_host_is_read_as_ollama_reads_it(written: str, url: str) -> None:
    assert host.url(written) == url
