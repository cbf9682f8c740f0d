"""Profiles: which folders there are, what they extend, and what a message says when that goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from so8t.engine import plan
from so8t.errors import SpecError
from so8t.spec import load, profile, yamltree
from so8t.spec.fields import SpecModel
from so8t.spec.settings import Slurm

Write = Callable[[dict[str, str]], Path]


class Adapter(SpecModel):
    rate: float = 0.1
    layers: list[int] = Field(default=[])
    names: dict[str, int] = Field(default={})
    note: str | None = "default"


MODELS = {"adapter": Adapter}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def files(texts: dict[str, str]) -> Path:
        for name, text in texts.items():
            path = tmp_path / "specs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return files


def message(project: Path, name: str) -> str:
    with pytest.raises(SpecError) as caught:
        load.load(profile.read(project, name), MODELS)
    return str(caught.value)


def test_a_profile_without_files_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "specs/tiny").mkdir(parents=True)

    read = profile.read(tmp_path, "tiny")

    assert load.load(read, MODELS) == {"adapter": Adapter()}
    assert load.settings(read).store.budget == 20 * 1024**3


def test_mappings_merge_and_everything_else_replaces(write: Write) -> None:
    project = write(
        {
            "tiny/adapter.yaml": "rate: 1\nlayers: [1, 2]\nnames: {a: 1, b: 2}\nnote: x\n",
            "big/profile.yaml": "extends: tiny\n",
            "big/adapter.yaml": "layers: [3]\nnames: {b: 3}\nnote: null\n",
            "huge/profile.yaml": "extends: big\n",
            "huge/adapter.yaml": "rate: 2.5\n",
        }
    )

    read = profile.read(project, "huge")

    assert [folder.name for folder in read.chain] == ["huge", "big", "tiny"]
    assert load.load(read, MODELS) == {"adapter": Adapter(rate=2.5, layers=[3], names={"a": 1, "b": 3}, note=None)}


def test_a_mapping_of_another_kind_replaces_and_of_the_same_kind_merges(write: Write) -> None:
    project = write(
        {
            "tiny/adapter.yaml": "names: {kind: 1, a: 1}\n",
            "other/profile.yaml": "extends: tiny\n",
            "other/adapter.yaml": "names: {kind: 2, b: 2}\n",
            "same/profile.yaml": "extends: tiny\n",
            "same/adapter.yaml": "names: {kind: 1, b: 2}\n",
            "silent/profile.yaml": "extends: tiny\n",
            "silent/adapter.yaml": "names: {b: 2}\n",
        }
    )

    found = {name: load.load(profile.read(project, name), MODELS)["adapter"] for name in ("other", "same", "silent")}

    assert found == {
        "other": Adapter(names={"kind": 2, "b": 2}),
        "same": Adapter(names={"kind": 1, "a": 1, "b": 2}),
        "silent": Adapter(names={"kind": 1, "a": 1, "b": 2}),
    }


def test_the_profile_for_twelve_gigabytes_is_what_it_says(root: Path) -> None:
    values = {name: row.values for name, row in plan.load(root, "borea-phi35-rtx3060").rows.items()}
    adapter, train = values["adapter"], values["adapter"]["train"]

    assert values["base_model"]["source"] == {
        "kind": "local",
        "path": "checkpoints/Borea-Phi-3.5-mini-Instruct-Jp",
        "name": "",
        "remote_code": False,
    }
    assert (values["so8t_model"]["kind"], values["so8t_model"]["layers"]) == ("geodesic", "intermediate")
    assert (adapter["quantise"], adapter["lora"]["r"], adapter["lora"]["alpha"]) == ("int8", 64, 128)
    assert (train["micro_batch"], train["batch"], train["sequence"]) == (1, 16, 2048)
    assert (train["gradient_checkpointing"], train["steps"], train["optimizer"]) == (True, None, "auto")


def test_settings_merge_but_a_parent_s_name_and_description_are_its_own(write: Write) -> None:
    project = write(
        {
            "tiny/profile.yaml": "description: small\nartifacts: out\nstore: {budget: 1GiB, copy_below: 0}\n",
            "big/profile.yaml": "extends: tiny\nstore: {budget: 2GiB}\nretain: {adapter: manifest}\n",
        }
    )

    found = load.settings(profile.read(project, "big"))

    assert found.model_dump() == {
        "extends": "tiny",
        "description": "",
        "task": "four_class",
        "artifacts": "out",
        "store": {"budget": 2 * 1024**3, "mirror": None, "copy_below": 0, **ALONE},
        "notify": {"minutes": 10.0, "bell": True, "sound": False, "desktop": False},
        "retain": {"adapter": "manifest"},
        "cluster": None,
        "run": {},
    }


def test_whatever_could_change_the_result_is_watched(write: Write) -> None:
    project = write(
        {
            "tiny/adapter.yaml": "rate: 1\n",
            "tiny/corpus/train.jsonl": "{}\n",
            "tiny/README.md": "",
            "big/profile.yaml": "extends: tiny\n",
        }
    )

    watched = profile.read(project, "big").watch

    assert [path.relative_to(project / "specs").as_posix() for path in watched] == [
        "big",
        "big/profile.yaml",
        "tiny",
        "tiny/profile.yaml",
        "tiny/adapter.yaml",
    ]


def test_the_schemas_are_no_profile(write: Write) -> None:
    project = write({"tiny/adapter.yaml": "", "schema/adapter.json": "{}", ".cache/a.yaml": ""})

    assert profile.names(project) == ["tiny"]


def test_an_unknown_profile_names_those_there_are(write: Write) -> None:
    project = write({"tiny/adapter.yaml": "", "borea/adapter.yaml": ""})

    with pytest.raises(SpecError) as caught:
        profile.read(project, "tinny")

    assert str(caught.value) == "specs/ has no profile 'tinny' (there are: borea, tiny), did you mean tiny?"


@pytest.mark.parametrize("name", ["", ".", "..", "../specs/tiny", "tiny/corpus", "schema", "TINY"])
def test_only_a_listed_folder_is_a_profile(write: Write, name: str) -> None:
    project = write({"tiny/corpus/a": "", "schema/a.json": ""})

    with pytest.raises(SpecError, match=r"^specs/ has no profile "):
        profile.read(project, name)


def test_a_project_without_specs_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^specs: this folder does not exist in .*: run from the folder of dodo.py$"):
        profile.read(tmp_path, "tiny")


def test_a_cycle_is_shown_as_it_runs(write: Write) -> None:
    project = write(
        {"x/profile.yaml": "extends: a\n", "a/profile.yaml": "extends: b\n", "b/profile.yaml": "extends: a\n"}
    )

    assert message(project, "x") == (
        "specs/b/profile.yaml:1:10: extends: profiles must not extend each other: a -> b -> a\n"
        "    extends: a\n"
        "             ^"
    )
    assert "must not extend each other: a -> b -> a" in message(project, "a")


def test_an_unknown_parent_does_not_hide_the_other_problems(write: Write) -> None:
    project = write({"tiny/adapter.yaml": "", "big/profile.yaml": "extends: tinny\n", "big/adapter.yaml": "rat: 1\n"})

    assert message(project, "big") == (
        "specs/big/adapter.yaml:1:1: rat: unknown key, did you mean rate?\n"
        "    rat: 1\n"
        "    ^\n"
        "specs/big/profile.yaml:1:10: extends: must be 'tiny' (got 'tinny'), did you mean tiny?\n"
        "    extends: tinny\n"
        "             ^"
    )


def test_a_parent_that_is_no_name_is_refused_once(write: Write) -> None:
    project = write({"big/profile.yaml": "extends: [tiny]\n"})

    assert message(project, "big") == (
        "specs/big/profile.yaml:1:10: extends: must be a string (got a list)\n    extends: [tiny]\n             ^"
    )


def test_an_inherited_problem_names_the_profile_that_inherits_it(write: Write) -> None:
    project = write({"tiny/adapter.yaml": "layers: [a]\n", "big/profile.yaml": "extends: tiny\n"})

    assert message(project, "big") == (
        "specs/tiny/adapter.yaml:1:10: layers[0]: must be an integer (got 'a') (inherited by big)\n"
        "    layers: [a]\n"
        "             ^"
    )


def test_files_that_no_stage_reads_are_named(write: Write) -> None:
    project = write({"tiny/adaptor.yaml": "", "tiny/adapter.yml": "", "tiny/zzz.yaml": "", "tiny/.hidden.yaml": ""})

    assert message(project, "tiny") == (
        "specs/tiny/adapter.yml: a spec file ends in .yaml: rename it to adapter.yaml\n"
        "specs/tiny/adaptor.yaml: unknown stage adaptor, did you mean adapter?\n"
        "specs/tiny/zzz.yaml: unknown stage zzz"
    )


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "specs/tiny/adapter.yaml").mkdir(parents=True)

    assert message(tmp_path, "tiny") == "specs/tiny/adapter.yaml: not a file"


ALONE = {"trusted": (), "key": None, "encrypt": None, "share_private": False, "checkpoints": 0.0}


def test_a_mirror_says_whose_results_are_taken(write: Write) -> None:
    project = write({"tiny/profile.yaml": "store:\n  mirror: file:///mnt/store\n"})

    assert message(project, "tiny") == (
        "specs/tiny/profile.yaml:1:1: store: mirror needs trusted: the public keys whose results are taken "
        "(doit mirror --new-key FILE makes one), or any, if nobody else can write to it\n"
        "    store:\n"
        "    ^"
    )


AWAY = "run:\n  adaptr: {where: here}\n  adapter: {where: cluster, resources: {GPU: 1, memory: 20GiB}}\n"


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ("", "cluster, and none is named: add cluster.address"),
        (
            "cluster: {address: 10.0.0.5}\n",
            "cluster, whose nodes share a store with this machine, and none is named: add store.mirror",
        ),
    ],
)
def test_a_stage_on_a_cluster_needs_the_cluster_and_a_store_for_both(write: Write, settings: str, lacks: str) -> None:
    project = write({"tiny/profile.yaml": AWAY + settings})

    assert message(project, "tiny") == (
        "specs/tiny/profile.yaml:2:3: run.adaptr: unknown stage adaptr, did you mean adapter?\n"
        "    adaptr: {where: here}\n"
        "    ^\n"
        f"specs/tiny/profile.yaml:2:3: run: sends adapter to a {lacks}\n"
        "    adaptr: {where: here}\n"
        "    ^"
    )


def test_resources_are_what_a_node_must_have(write: Write) -> None:
    store = "store: {mirror: 's3://bucket/so8t', trusted: any}\ncluster: {address: 10.0.0.5}\n"
    project = write({"tiny/profile.yaml": AWAY.replace("  adaptr: {where: here}\n", "") + store})

    found = load.settings(profile.read(project, "tiny")).run["adapter"].resources

    assert found.model_dump() == {"CPU": 1.0, "GPU": 1.0, "memory": 21474836480, "named": {}}


def test_slurm_takes_options_but_not_those_that_so8t_gives_itself(write: Write) -> None:
    store = "store: {mirror: 's3://bucket/so8t', trusted: any}\n"
    project = write(
        {
            "tiny/profile.yaml": f"{store}cluster: {{kind: slurm, options: [--partition=gpu, --time=1:00:00]}}\n",
            "ours/profile.yaml": f"{store}cluster:\n  kind: slurm\n  options: [--job-name=mine]\n",
            "ray/profile.yaml": f"{store}cluster:\n  kind: slurm\n  address: 10.0.0.5\n",
            "other/profile.yaml": f"{store}cluster:\n  kind: slurn\n",
        }
    )

    assert load.settings(profile.read(project, "tiny")).cluster == Slurm(
        kind="slurm", folder="~/.so8t/jobs", options=("--partition=gpu", "--time=1:00:00"), python=None
    )
    assert message(project, "ours") == (
        "specs/ours/profile.yaml:4:3: cluster.options: must not hold --job-name=mine, which so8t gives sbatch itself\n"
        "    options: [--job-name=mine]\n"
        "    ^"
    )
    assert message(project, "ray").splitlines()[0] == (
        "specs/ray/profile.yaml:4:3: cluster.address: unknown key; the keys here are kind, folder, options, python"
    )
    assert message(project, "other").splitlines()[0] == (
        "specs/other/profile.yaml:3:9: cluster.kind: must be 'ray' or 'slurm' (got 'slurn'), did you mean slurm?"
    )


def test_a_larger_file_than_any_spec_is_not_read(write: Write) -> None:
    project = write({"tiny/adapter.yaml": "#" * (yamltree.MAX_BYTES + 1)})

    assert message(project, "tiny") == "specs/tiny/adapter.yaml: larger than 1,048,576 bytes, which no spec needs"


def test_settings_have_problems_like_any_spec(write: Write) -> None:
    project = write(
        {"tiny/profile.yaml": "store:\n  budget: 5x\n  mirror: disk\nretain: {adaptr: manifest, adapter: al}\n"}
    )

    assert message(project, "tiny") == (
        "specs/tiny/profile.yaml:2:11: store.budget: must be a size such as 20GiB, or a number of bytes (got '5x')\n"
        "    budget: 5x\n"
        "            ^\n"
        "specs/tiny/profile.yaml:3:11: store.mirror: must be a URL such as s3://bucket/so8t or file:///mnt/store "
        "(got 'disk')\n"
        "    mirror: disk\n"
        "            ^\n"
        "specs/tiny/profile.yaml:4:10: retain.adaptr: unknown stage adaptr, did you mean adapter?\n"
        "    retain: {adaptr: manifest, adapter: al}\n"
        "             ^\n"
        "specs/tiny/profile.yaml:4:37: retain.adapter: must be 'all' or 'manifest' (got 'al'), did you mean all?\n"
        "    retain: {adaptr: manifest, adapter: al}\n"
        "                                        ^"
    )
