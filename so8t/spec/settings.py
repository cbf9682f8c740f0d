"""What `profile.yaml` may hold: the parent, where artifacts live, and how the store behaves."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, field_validator, model_validator

from so8t.spec.fields import At, SpecModel, execution
from so8t.store import encryption
from so8t.store.trust import FORM

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|[kKMGT]i?B)?")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def size(value: Any) -> int:
    """The bytes in 20GiB, 64 MiB, 1.5GB, or a plain number."""
    found = _SIZE.fullmatch(str(value))
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not found:
        raise ValueError(f"must be a size such as 20GiB, or a number of bytes (got {value!r})")
    unit = (found[2] or "B").removesuffix("B")
    base = 1024 if unit.endswith("i") else 1000
    return int(Fraction(found[1]) * base ** _POWER[unit.removesuffix("i").upper()])


Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_SIZE.pattern}$"}],
            "format": "byte-size",
        }
    ),
]


class Encrypt(SpecModel):
    recipients: tuple[Annotated[str, Field(pattern=f"^{encryption.FORM}$")], ...] = execution(min_length=1)
    """The age keys (age1...) of everybody who may read what this machine uploads, itself included."""
    identity: str | None = execution(None, min_length=1)
    """The file with the secret key that opens what others uploaded; the variable SO8T_STORE_IDENTITY, which holds the
    key itself, goes before it. Without one this machine only uploads."""


class Store(SpecModel):
    budget: Size = execution(20 * 1024**3)
    """What `doit gc` leaves in the store, such as 20GiB; what the profiles use stays even beyond it."""
    mirror: str | None = execution(None)
    """An fsspec URL that shares the store with other machines, such as s3://bucket/so8t."""
    trusted: Literal["any"] | tuple[Annotated[str, Field(pattern=f"^{FORM}$")], ...] = execution(())
    """The public keys whose results are taken from the mirror, or `any`, for a mirror that only you can write to."""
    key: str | None = execution(None, min_length=1)
    """The file with the private key that signs what goes to the mirror; the variable SO8T_STORE_KEY, which holds the
    key itself, goes before it. Without a key this machine only reads, unless `any` is trusted."""
    encrypt: Encrypt | None = execution(None)
    """Left out, whoever can read the mirror can read the files in it; with it, only those who are named."""
    share_private: bool = execution(False)
    """Whether `raw`, which still holds personal data, goes to the mirror."""
    checkpoints: float = execution(0.0, ge=0)
    """Minutes between two checkpoints of a running training that go to the mirror, so that a machine that dies costs
    no more than that: the next one with the same key goes on from there. With 0 they stay on this machine."""
    copy_below: Size = execution(64 * 1024**2)
    """Files up to this size are copied into the store; larger ones move there when another takes their place."""

    @field_validator("mirror")
    @classmethod
    def _has_protocol(cls, mirror: str | None) -> str | None:
        if mirror is not None and not re.match(r"[a-z][a-z0-9+.-]*(::|://).*", mirror):
            raise ValueError(f"must be a URL such as s3://bucket/so8t or file:///mnt/store (got {mirror!r})")
        return mirror

    @model_validator(mode="after")
    def _is_trusted(self) -> Store:
        if self.mirror is not None and not self.trusted:
            raise ValueError(
                "mirror needs trusted: the public keys whose results are taken (doit mirror --new-key FILE makes one), "
                "or any, if nobody else can write to it"
            )
        return self


class Notify(SpecModel):
    minutes: float = execution(10.0, ge=0)
    """A build that took longer says so when it ends or fails; one that you interrupt does not.  One that took longer
    the last time says what it has before it, as `doit plan` does."""
    bell: bool = execution(True)
    """Ring the terminal's bell."""
    sound: bool = execution(False)
    """Play a short sound."""
    desktop: bool = execution(False)
    """Show a notification on the desktop."""


class Ray(SpecModel):
    kind: Literal["ray"] = execution("ray")
    """What places the jobs: Ray, through its Jobs API."""
    address: str = execution(min_length=1)
    """Where the dashboard of Ray's head is, such as 10.0.0.5:8265: on this machine or in a private network."""
    python: str | None = execution(None, min_length=1)
    """The interpreter on the nodes, as an absolute path; left out, the one that runs doit here."""


# what so8t gives sbatch itself, or what would give the job another form
_OURS = (
    "job-name",
    "dependency",
    "requeue",
    "chdir",
    "output",
    "error",
    "array",
    "wrap",
    "wait",
    "test-only",
    "parsable",
)


class Slurm(SpecModel):
    kind: Literal["slurm"] = execution()
    """What places the jobs: Slurm, through sbatch, squeue and scancel of this machine."""
    folder: str = execution("~/.so8t/jobs", min_length=1)
    """A folder that this machine and all nodes see by this name; each job has one of its own in it for a week."""
    options: tuple[Annotated[str, Field(pattern="^--[a-z]")], ...] = execution(())
    """What else sbatch is told for every job, such as `[--partition=gpu, --account=lab, --time=24:00:00]`."""
    python: str | None = execution(None, min_length=1)
    """The interpreter on the nodes, as an absolute path; left out, the one that runs doit here."""

    @field_validator("options")
    @classmethod
    def _are_free(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            if option.lstrip("-").partition("=")[0] in _OURS:
                raise ValueError(f"must not hold {option}, which so8t gives sbatch itself")
        return options


def _engine(value: Any) -> Any:
    return value.get("kind", "ray") if isinstance(value, dict) else getattr(value, "kind", "ray")


Cluster = Annotated[Annotated[Ray, Tag("ray")] | Annotated[Slurm, Tag("slurm")], Discriminator(_engine)]


class Resources(SpecModel):
    CPU: float = execution(1.0, ge=0)
    """Cores that a node keeps free for the stage."""
    GPU: float = execution(0.0, ge=0)
    """GPUs, likewise."""
    memory: Size = execution(0)
    """Memory, likewise, such as 20GiB."""
    named: dict[str, float] = execution({})
    """Resources that some nodes have by name, such as `big: 1`: from `ray start --resources`, or Slurm's generic
    resources, such as `"gpu:a100": 1`."""


class Run(SpecModel):
    where: Literal["here", "cluster"] = execution("here")
    """On this machine, or on a node of the cluster."""
    resources: Resources = execution(Resources())
    """What a node must have for it."""


class Settings(SpecModel):
    """A profile as a whole; of all this only the task enters keys, of the stages that read it."""

    extends: str | None = execution(None)
    """The profile whose values hold wherever this one gives none."""
    description: str = execution("")
    """What the profile is for, in one sentence."""
    task: Literal["four_class", "chat"] = "four_class"
    """What the model learns: to judge a request by one of four classes and answer so, or conversations as they are."""
    artifacts: str = execution("artifacts", min_length=1)
    """The folder of the artifacts, relative to the project."""
    store: Store = execution(Store())
    """The store that keeps every artifact by its key."""
    notify: Notify = execution(Notify())
    """How a long build says that it has ended, beside the apprise URLs in the environment's SO8T_NOTIFY_URLS."""
    retain: dict[str, Literal["all", "manifest"]] = execution({})
    """Stages that keep only their manifest once their consumers are built; the bytes come back on demand."""
    cluster: Cluster | None = execution(None)
    """The cluster on whose nodes stages are built that `run` sends there."""
    run: dict[str, Run] = execution({})
    """By stage, where it is built; a stage that is not named is built here."""

    @model_validator(mode="after")
    def _has_what_a_cluster_needs(self) -> Settings:
        away = [name for name, run in self.run.items() if run.where == "cluster"]
        if away and self.cluster is None:
            raise At(f"sends {away[0]} to a cluster, and none is named: add cluster.address", "run")
        if away and self.store.mirror is None:
            raise At(
                f"sends {away[0]} to a cluster, whose nodes share a store with this machine, and none is named: add "
                "store.mirror",
                "run",
            )
        return self
