"""What stands between doit and a cluster, told before anything is built."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from so8t.cluster import attempts, follow, ray
from so8t.cluster.address import Place
from so8t.cluster.jobs import Unreachable
from so8t.cluster.ray import Client
from so8t.errors import StageError
from tests.house import House

AWAY = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: '{address}'}}
run: {{doubled: {{where: cluster}}}}
"""


def refusal(port: int) -> str:
    with pytest.raises(StageError) as refused:
        Client(Place("http", "127.0.0.1", port), "the token").check()
    return str(refused.value)


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port where each request is answered with a status: by what was asked for, with a token or without."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with_token = self.headers.get("Authorization") == "Bearer the token"
            self.send_response(request.param[with_token])
            self.end_headers()

        def do_POST(self) -> None:
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"Traceback:\n  line 1\nNo available agent to submit job, please try again later.\n")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("answering", [(200, 200)], indirect=True)
def test_a_head_that_takes_jobs_from_anybody_is_refused(answering: int) -> None:
    assert refusal(answering) == (
        f"cluster.address: http://127.0.0.1:{answering} takes jobs from anybody, without a token: whoever reaches it "
        "can run anything there; start Ray with RAY_AUTH_MODE=token on every node"
    )


@pytest.mark.parametrize("answering", [(401, 403)], indirect=True)
def test_a_token_that_is_not_taken_is_told(answering: int) -> None:
    assert refusal(answering) == (
        f"cluster: http://127.0.0.1:{answering} does not take the token: RAY_AUTH_TOKEN holds it, or "
        "RAY_AUTH_TOKEN_PATH names its file, or ~/.ray/auth_token has it, as for Ray's own"
    )


@pytest.mark.parametrize("answering", [(404, 404)], indirect=True)
def test_what_is_not_ray_is_told(answering: int) -> None:
    assert refusal(answering) == (f"cluster.address: http://127.0.0.1:{answering} answers with status 404, unlike Ray")


@pytest.mark.parametrize("answering", [(401, 200)], indirect=True)
def test_a_head_that_wants_a_token_and_takes_ours_can_be_used(answering: int) -> None:
    Client(Place("http", "127.0.0.1", answering), "the token").check()


@pytest.mark.parametrize(
    ("answering", "found"),
    [
        ((401, 503), "Unreachable: status 503"),  # a head that starts, or a node that is gone
        ((401, 404), "None"),
        ((401, 401), "StageError: cluster: {} does not take the token: " + ray.WHERE),
    ],
    indirect=["answering"],
)
def test_what_is_known_of_a_job(answering: int, found: str) -> None:
    place = Place("http", "127.0.0.1", answering)
    try:
        said = str(Client(place, "the token").job("j-1"))
    except (Unreachable, StageError) as error:
        said = f"{type(error).__name__}: {error}"

    assert said == found.format(place.url)


@pytest.mark.parametrize("answering", [(401, 200)], indirect=True)
def test_a_head_that_starts_and_takes_no_job_yet_is_asked_on(answering: int) -> None:
    with pytest.raises(Unreachable) as refused:
        Client(Place("http", "127.0.0.1", answering), "the token")._call("submit_job", entrypoint="true")

    assert str(refused.value) == "status 500: No available agent to submit job, please try again later"


def test_a_head_is_asked_for_five_minutes() -> None:
    now, told, silent = 0.0, [], 3

    def ask() -> str:
        if now < silent:
            raise Unreachable("status 500")
        return "so8t-1"

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def asked() -> str:
        return follow.patiently(ask, "adapter", partial(attempts.deaf, "adapter"), told.append, lambda: now, sleep)

    assert asked() == "so8t-1"
    assert told == [
        "adapter: the cluster does not answer (status 500); asking on",
        "adapter: the cluster answers again",
    ]
    silent = 1000
    with pytest.raises(StageError) as refused:
        asked()
    assert str(refused.value) == "adapter: the cluster has not answered for 300 s: run doit again when it does"


def test_a_head_that_does_not_answer_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    assert refusal(port) == (
        f"cluster.address: http://127.0.0.1:{port} does not answer (Connection refused); is `ray start --head` running "
        "there, and its dashboard's port open to this machine?"
    )


def test_a_token_is_found_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("of the file\n")
    (tmp_path / ".ray").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    named = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}

    assert ray.token({"RAY_AUTH_TOKEN": "itself", **named}) == "itself"
    assert ray.token(named) == "of the file"
    with pytest.raises(StageError) as refused:
        ray.token({})
    assert str(refused.value) == (
        "cluster: there is no token for it: RAY_AUTH_TOKEN holds it, or RAY_AUTH_TOKEN_PATH names its file, or "
        "~/.ray/auth_token has it, as for Ray's own"
    )
    (tmp_path / ".ray" / "auth_token").write_text("of home\n")
    assert ray.token({}) == "of home"


def test_a_public_address_ends_a_run_before_its_first_stage(house: House) -> None:
    house.write("specs/tiny/profile.yaml", AWAY.format(mirror=(house.path / "mirror").as_uri(), address="8.8.8.8"))

    run = house.doit()

    assert (run.code, run.ran) == (1, [])
    assert run.out.endswith(
        "cluster.address: 8.8.8.8 is at 8.8.8.8, which is not a private address: whoever reaches a Ray head can run "
        "anything on it, so it is used on this machine and in private networks alone; reach it through a VPN, or "
        "through a tunnel (ssh -N -L 8265:localhost:8265 8.8.8.8) and name localhost\nnothing was built\n\n"
    )


def test_what_is_damaged_is_not_healed_on_a_public_address_either(built: House) -> None:
    house = built
    house.write("specs/tiny/profile.yaml", AWAY.format(mirror=(house.path / "mirror").as_uri(), address="8.8.8.8"))
    house.write("artifacts/tiny/doubled/doubled.txt", "0\n")

    run = house.doit("verify", "--heal", "doubled")

    assert run.code == 1
    assert run.out.splitlines()[1].startswith("cluster.address: 8.8.8.8 is at 8.8.8.8, which is not a private address")
    assert run.out.endswith("\nnothing was built\n")


def test_personal_data_do_not_go_to_a_cluster_unless_the_profile_says_so(house: House) -> None:
    house.write("specs/tiny/profile.yaml", AWAY.format(mirror=(house.path / "mirror").as_uri(), address="localhost"))
    house.edit("stages/numbers.py", 'gives=("numbers.txt",)', 'gives=("numbers.txt",), private=True')

    run = house.doit("list")

    assert (run.code, run.out, run.err) == (
        3,
        "",
        "ERROR: specs/tiny/profile.yaml: run.doubled.where: doubled cannot run on the cluster: numbers holds personal "
        "data, which stay on this machine; leave it out, or set store.share_private\n",
    )


def test_half_a_gpu_is_not_to_be_had_of_slurm(house: House) -> None:
    house.write(
        "specs/tiny/profile.yaml",
        "store: {mirror: 's3://b/so8t', trusted: any}\ncluster: {kind: slurm}\n"
        "run:\n  doubled: {where: cluster, resources: {GPU: 0.5, named: {big: 1.5}}}\n",
    )

    run = house.doit("list")

    assert (run.code, run.out, run.err) == (
        3,
        "",
        "ERROR: specs/tiny/profile.yaml: run.doubled.resources.GPU: must be a whole number for Slurm (got 0.5)\n"
        "specs/tiny/profile.yaml: run.doubled.resources.named.big: must be a whole number for Slurm (got 1.5)\n",
    )
