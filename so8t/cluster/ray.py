"""The one door to Ray: its Jobs API over HTTP, with a token, past every proxy, and never without an end of waiting."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from so8t.cluster import address, package
from so8t.cluster.address import Place
from so8t.cluster.attempts import Job
from so8t.cluster.jobs import Parcel, Taken, Unreachable, Wants
from so8t.engine.bring import LONGEST
from so8t.errors import MissingExtra, StageError

WHERE = "RAY_AUTH_TOKEN holds it, or RAY_AUTH_TOKEN_PATH names its file, or ~/.ray/auth_token has it, as for Ray's own"
_WAIT = 20.0  # seconds for one answer
_STRAIGHT = {"http": "", "https": ""}  # the token is for the head alone, whatever proxies the environment names
_STOPPING = {"RAY_JOB_STOP_WAIT_TIME_S": str(LONGEST)}  # a training leaves a checkpoint; Ray gives three seconds
_CODE = re.compile(r"status code (\d+)")


def token(environment: Mapping[str, str] = os.environ) -> str:
    """Where Ray looks for it, in Ray's order."""
    if held := environment.get("RAY_AUTH_TOKEN", "").strip():
        return held
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        held = path.read_text("utf-8").strip()
    except OSError:
        held = ""
    if not held:
        raise StageError(f"cluster: there is no token for it: {WHERE}")
    return held


@dataclass(frozen=True)
class Client:
    place: Place
    token: str

    def check(self) -> None:
        """StageError with the next step, if jobs cannot be given to this head, or anybody could give it some."""
        try:
            anybody = self._ray.ask("GET", "/api/jobs/", headers={})
            mine = self._ray.ask("GET", "/api/jobs/")
        except Unreachable as error:
            raise StageError(
                f"cluster.address: {self.place.url} does not answer ({error}); is `ray start --head` running there, "
                "and its dashboard's port open to this machine?"
            ) from error
        if anybody.status_code == 200:
            raise StageError(
                f"cluster.address: {self.place.url} takes jobs from anybody, without a token: whoever reaches it can "
                "run anything there; start Ray with RAY_AUTH_MODE=token on every node"
            )
        if mine.status_code in (401, 403):
            raise StageError(f"cluster: {self.place.url} does not take the token: {WHERE}")
        if mine.status_code != 200:
            raise StageError(f"cluster.address: {self.place.url} answers with status {mine.status_code}, unlike Ray")

    def of(self, key: str) -> list[Job]:
        return [_job(each) for each in self._call("list_jobs") if each.submission_id]

    def job(self, id: str) -> Job | None:
        """None: the cluster does not know it."""
        found = self._call("get_job_info", id)
        return _job(found) if found is not None else None

    def log(self, id: str) -> str | None:
        """All that it said; None where that cannot be had, as of a node that is gone."""
        try:
            return str(self._call("get_job_logs", id) or "")
        except Unreachable:
            return None

    def submit(self, id: str, parcel: Parcel) -> None:
        with package.packed(parcel.files, parcel.order) as folder:
            settings = {"working_dir": str(folder), "env_vars": {**_STOPPING, **parcel.environment}}
            self._call(
                "submit_job", submission_id=id, entrypoint=shlex.join(parcel.command), runtime_env=settings,
                metadata=dict(parcel.told), **_asks(parcel.wants),
            )  # fmt: skip

    def stop(self, id: str) -> None:
        self._call("stop_job", id)

    @cached_property
    def _ray(self) -> Any:
        return _client(self.place.url, self.token)

    def _call(self, method: str, *args: Any, **values: Any) -> Any:
        try:
            return getattr(self._ray, method)(*args, **values)
        except RuntimeError as error:
            found = _CODE.search(str(error))
            code = found[1] if found else ""
            if code == "404":
                return None
            if "already exists" in str(error):
                raise Taken from None
            if code.startswith("5"):  # a head that starts and has no agent yet, or a node that is gone
                raise Unreachable(f"status {code}{_last(error, code)}") from error
            raise StageError(f"cluster: {self.place.url}: {_first(error)}") from error


@lru_cache
def at(text: str) -> Client:
    """The one for `cluster.address`."""
    return Client(address.checked(text), token())


def _asks(wants: Wants) -> dict[str, Any]:
    asked = {
        "entrypoint_num_cpus": wants.CPU,
        "entrypoint_num_gpus": wants.GPU,
        "entrypoint_memory": wants.memory,
        "entrypoint_resources": dict(wants.named),
    }
    return {name: value for name, value in asked.items() if value}


def _client(url: str, token: str) -> Any:
    """Ray's client, which waits for ever by itself, and asks proxies."""
    try:
        import requests
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise MissingExtra("ray", "ray", "a stage on a cluster") from error
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk"):
        logging.getLogger(name).setLevel(logging.WARNING)

    class Patient(JobSubmissionClient):
        def _do_request(self, method: str, endpoint: str, **values: Any) -> Any:
            try:
                return super()._do_request(method, endpoint, timeout=_WAIT, proxies=_STRAIGHT, **values)
            except requests.exceptions.RequestException as error:
                raise Unreachable(_cause(error)) from error
            except AuthenticationError as error:
                raise StageError(f"cluster: {url} does not take the token: {WHERE}") from error

        def _check_connection_and_version(self, *args: Any, **values: Any) -> None:
            """`check` asks once for all."""

        def ask(self, method: str, endpoint: str, headers: Mapping[str, str] | None = None) -> Any:
            """The plain answer, whatever its status."""
            given = self._headers if headers is None else headers
            try:
                return requests.request(method, url + endpoint, headers=given, timeout=_WAIT, proxies=_STRAIGHT)
            except requests.exceptions.RequestException as error:
                raise Unreachable(_cause(error)) from error

    return Patient(url, headers={"Authorization": f"Bearer {token}"})


def _cause(error: BaseException) -> str:
    """The system's own word below requests' and urllib3's."""
    while True:
        below = error.__cause__ or error.__context__ or next((a for a in error.args if isinstance(a, Exception)), None)
        below = getattr(error, "reason", None) if below is None else below
        if not isinstance(below, BaseException):
            break
        error = below
    return getattr(error, "strerror", None) or str(error)


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _last(error: Exception, code: str) -> str:
    """What the head says of it, which is a traceback mostly."""
    said = str(error).partition(f"status code {code}: ")[2].rstrip(". \n").splitlines()
    return f": {said[-1].strip()}" if said else ""


def _job(found: Any) -> Job:
    status = str(getattr(found.status, "value", found.status))
    message = "" if status == "PENDING" else found.message or ""  # it only says that the job has not begun
    return Job(found.submission_id, status, message, found.driver_exit_code)
