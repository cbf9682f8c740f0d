"""Checkpoints from a folder and from a hub: only what belongs to one is taken, whole; a real small hub serves it."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from pydantic import ValidationError

from so8t.engine.stage import Inputs, Source
from so8t.errors import MissingExtra, StageError
from so8t.models import folder as folders
from so8t.models import hub
from so8t.models.hub import Hub
from stages import base_model
from stages.base_model import STAGE, Spec

REVISION = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(BaseHTTPRequestHandler):
    """As much of the hub's interface as a download asks for."""

    def __init__(self, served: Path, asked: list[str], *arguments: Any) -> None:
        self.served, self.asked = served, asked
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        names = sorted(file.name for file in self.served.iterdir())
        if path.startswith("/api/models/acme/pico/revision/"):
            about = {"id": "acme/pico", "sha": REVISION, "siblings": [{"rfilename": name} for name in names]}
            self._send(json.dumps(about).encode(), "application/json", body)
        elif path.startswith(f"/api/models/acme/pico/tree/{REVISION}"):
            sizes = {name: (self.served / name).stat().st_size for name in names}
            tree = [{"type": "file", "path": name, "size": sizes[name], "oid": "0" * 40} for name in names]
            self._send(json.dumps(tree).encode(), "application/json", body)
        elif path.startswith(f"/acme/pico/resolve/{REVISION}/"):
            self._send((self.served / path.rsplit("/", 1)[1]).read_bytes(), "application/octet-stream", body)
        else:
            self.send_error(404)

    def _send(self, data: bytes, kind: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(pico: Path, tmp_path: Path) -> Path:
    """The repository: a checkpoint and other things that repositories hold."""
    target = tmp_path / "repository"
    target.mkdir()
    for path in pico.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    (target / "README.md").write_text("# pico\n", "utf-8")
    (target / "training_args.bin").write_bytes(b"\x80\x04")
    (target / "modeling_pico.py").write_text("raise SystemExit('ran')\n", "utf-8")
    return target


@pytest.fixture
def address(served: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FakeHub, served, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def pinned(**more: Any) -> dict[str, Any]:
    return {"kind": "hub", "repo": "acme/pico", "revision": REVISION, **more}


def build(source: dict[str, Any], out: Path, *files: Path, scratch: Path = Path()) -> Path:
    out.mkdir(exist_ok=True)
    sources = tuple(Source(path.name, path) for path in files)
    STAGE.build(Inputs({}, {"checkpoint": sources}, scratch), out, Spec(source=source))
    return out / "model"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_local_folder_gives_its_checkpoint_and_nothing_else(served: Path, pico: Path, tmp_path: Path, capfd) -> None:
    model = build({"kind": "local", "path": "repository"}, tmp_path / "out", *sorted(served.iterdir()))

    assert content(model) == content(pico)
    assert orjson.loads((tmp_path / "out" / "base.json").read_bytes()) == {
        "source": "local",
        "remote_code": False,
        "architecture": "Phi3ForCausalLM",
        "tensors": 15,
        "parameters": 39328,
        "dtypes": ["F32"],
        "vocab_size": 420,
    }
    assert "not taken from repository: README.md, modeling_pico.py, training_args.bin\n" in capfd.readouterr().err


def test_a_killed_copy_goes_on_with_whole_files(served: Path, pico: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    (tmp_path / "out" / "model" / "model.safetensors.part").write_bytes(b"torn")

    model = build({"kind": "local", "path": "repository"}, tmp_path / "out", *sorted(served.iterdir()))

    assert content(model) == content(pico)


def test_weights_that_are_only_a_pickle_are_refused(served: Path, tmp_path: Path) -> None:
    (served / "model.safetensors").rename(served / "pytorch_model.bin")

    with pytest.raises(StageError) as caught:
        folders.take({path.name: path for path in served.iterdir()}, tmp_path / "model", False, "models/pico")
    assert str(caught.value) == (
        "base_model: models/pico has its weights as a pickle (pytorch_model.bin), which can run code when it is read; "
        "only safetensors are taken: convert them first"
    )


def test_code_is_taken_only_where_the_spec_says_so(served: Path, tmp_path: Path) -> None:
    files = {path.name: path for path in served.iterdir()}
    folders.take(files, tmp_path / "without", False, "models/pico")
    folders.take(files, tmp_path / "with", True, "models/pico")

    assert not (tmp_path / "without" / "modeling_pico.py").exists()
    assert (tmp_path / "with" / "modeling_pico.py").exists()


def test_a_pinned_repository_is_downloaded_without_pickles_and_code(
    address, pico: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, asked = address
    monkeypatch.setenv("OTHER_DRIVE", str(tmp_path / "other drive"))
    source = pinned(endpoint=endpoint, cache_dir="$OTHER_DRIVE/hub")

    model = build(source, tmp_path / "out", scratch=tmp_path / "scratch")

    assert content(model) == content(pico)
    assert (tmp_path / "other drive" / "hub" / "models--acme--pico").is_dir()
    assert not any(path.endswith((".bin", ".py", "README.md")) for path in asked if "/resolve/" in path)
    assert not (tmp_path / "scratch").exists()


def test_what_the_cache_holds_needs_no_network(address, pico: Path, tmp_path: Path) -> None:
    endpoint, asked = address
    build(pinned(endpoint=endpoint), tmp_path / "first", scratch=tmp_path)
    asked.clear()

    model = build(pinned(endpoint="http://127.0.0.1:9"), tmp_path / "second", scratch=tmp_path)

    assert content(model) == content(pico)
    assert asked == []


def test_offline_without_a_cache_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it tries for 20 seconds

    with pytest.raises(StageError) as caught:
        hub.fetch(Hub(**pinned(endpoint="http://127.0.0.1:9")), tmp_path)

    message = str(caught.value)
    assert message.startswith("base_model: acme/pico@0123456789ab cannot be downloaded: ")
    assert message.endswith(
        "; connect and run doit again (it goes on where it stopped), set source.cache_dir to a cache that holds it, "
        "or use a local folder (source.kind: local)"
    )


def test_without_huggingface_hub_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)

    with pytest.raises(MissingExtra, match=r"needs huggingface_hub: pip install 'so8t\[train\]'"):
        hub.fetch(Hub(**pinned()), tmp_path)


def mistake(source: dict[str, Any]) -> str:
    """What the spec's reader says of one wrong value."""
    with pytest.raises(ValidationError) as caught:
        Spec(source=source)
    (found,) = caught.value.errors()
    return f"{found['loc'][-1]}: {found['ctx']['error']}"


@pytest.mark.parametrize("revision", ["main", "v1.0"])
def test_a_branch_or_a_tag_is_refused_with_the_way_to_the_commit(revision: str) -> None:
    assert mistake({**pinned(), "revision": revision}) == (
        f"revision: must be a commit, all 40 digits, and {revision} is a branch or a tag, which can move: "
        f"`git ls-remote https://huggingface.co/acme/pico {revision}` prints the commit"
    )


def test_the_beginning_of_a_commit_and_a_commit_in_capitals_are_refused() -> None:
    assert mistake({**pinned(), "revision": "0123456"}) == (
        "revision: must be a commit, all 40 digits (got 7): `git ls-remote https://huggingface.co/acme/pico` prints "
        "those of branches and tags, and the commit's own page on the hub has it whole"
    )
    assert (
        mistake({**pinned(), "revision": REVISION.upper()}) == f"revision: must be written in small letters: {REVISION}"
    )


@pytest.mark.parametrize("path", ["./models/phi", "/models/phi", "~/phi", "$MODELS/phi", "C:/phi", "a/b/c", "a\\b"])
def test_a_path_where_a_repository_belongs_is_refused(path: str) -> None:
    assert mistake({**pinned(), "repo": path}) == (
        f"repo: must be owner/name, and {path} is a path: write {{kind: local, path: {path}}}"
    )


def test_other_names_of_a_repository_are_refused_with_the_right_one() -> None:
    assert mistake({**pinned(), "repo": "https://huggingface.co/acme/pico/tree/main"}) == (
        "repo: must be owner/name: write acme/pico"
    )
    assert mistake({**pinned(), "repo": "pico"}) == "repo: must be owner/name, as on the hub (got 'pico')"
    assert mistake({"kind": "local", "path": "https://huggingface.co/acme/pico"}) == (
        "path: must be a folder, and https://huggingface.co/acme/pico is an address: "
        "write {kind: hub, repo: acme/pico, revision: <the commit's 40 digits>}"
    )
    assert mistake({"kind": "local", "path": "phi/model.safetensors"}) == (
        "path: must be the folder of the checkpoint, and phi/model.safetensors is one of its files"
    )


def test_a_repository_where_a_folder_belongs_is_hinted_at() -> None:
    assert STAGE.hints is not None
    assert STAGE.hints(Spec(source={"kind": "local", "path": "acme/pico"})) == {
        "checkpoint": "if acme/pico is a repository of the hub, "
        "write {kind: hub, repo: acme/pico, revision: <the commit's 40 digits>}"
    }
    assert STAGE.hints(Spec(source={"kind": "local", "path": "checkpoints/acme/pico"})) == {"checkpoint": ""}
    assert STAGE.hints(Spec()) == {}


def test_a_folder_of_the_repositorys_name_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme" / "pico").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StageError) as caught:
        hub.fetch(Hub(**pinned()), tmp_path)
    assert str(caught.value) == (
        "base_model: acme/pico is a folder here, and source.kind is hub: "
        "write {kind: local, path: acme/pico}, or move the folder away"
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"kind": "tiny"}, {}),
        ({"kind": "local", "path": "phi"}, {}),
        ({"kind": "local", "path": "phi", "name": "acme/phi"}, {"name": "acme/phi"}),
        (pinned(), {"name": "acme/pico", "revision": REVISION}),
    ],
)
def test_base_json_names_a_base_that_others_can_find(source: dict[str, Any], told: dict[str, str]) -> None:
    assert base_model._called(Spec(source=source).source) == told


def test_the_tiny_spec_of_the_sample_is_the_default_one() -> None:
    given = yaml.safe_load((Path(__file__).parent / "base_model.yaml").read_text("utf-8"))

    assert Spec.model_validate(given).source.kind == "tiny"
    assert base_model.Spec().source.kind == "tiny"


def test_the_stage_declares_a_local_folder_as_its_source() -> None:
    assert STAGE.sources is not None
    assert STAGE.sources(Spec(source={"kind": "local", "path": "models/phi/"})) == {"checkpoint": ["models/phi/*"]}
    assert STAGE.sources(Spec()) == STAGE.sources(Spec(source=pinned())) == {}


def test_the_tiny_stage_leaves_what_it_promised(sft: Path, pico: Path, tmp_path: Path) -> None:
    from tests.models.conftest import PICO

    STAGE.build(Inputs({"thinking_sft": sft}), tmp_path, Spec(source=PICO))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.json", "model"]
    assert content(tmp_path / "model") == content(pico)
