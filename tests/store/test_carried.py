"""Checkpoints in the shared store: what another machine goes on from, and what it does not take."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from so8t.store import carried, trust
from so8t.store.carried import Place
from so8t.store.lease import Lost
from so8t.store.mirror import Mirror
from so8t.store.trust import Trust

KEY = "ab" * 32


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return at(tmp_path, "here")


def at(tmp_path: Path, machine: str, by: Trust | None = None) -> Place:
    out = tmp_path / machine / "out"
    out.mkdir(parents=True)
    return Place(Mirror(f"file://{tmp_path}/mirror", by or Trust()), "adapter", KEY, out)


def trained(place: Place, step: int, best: int = 2) -> None:
    """As a training leaves its folder after so many steps."""
    run = place.out / "training"
    for name, text in ((f"checkpoint-{step}/model", f"weights of {step}"), (f"best-{best}/model", f"best of {best}")):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    with (run / "series.jsonl").open("a") as series:
        series.write(f"sample of {step}\n")
    (run / "part-99").mkdir(exist_ok=True)
    (run / "part-99" / "half").touch()
    (run / "rows").write_text("conversations")


def sent(place: Place, version: str | None = None) -> str | None:
    assert carried.snapshot(place.out, place.aside)
    return carried.send(place, place.aside, version)


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def mirrored(tmp_path: Path) -> list[str]:
    return sorted(path.read_text() for path in (tmp_path / "mirror" / "checkpoints" / KEY).rglob("*") if path.is_file())


def test_a_machine_without_a_checkpoint_goes_on_from_anothers(tmp_path: Path, here: Place, capsys) -> None:
    trained(here, 4)
    trained(here, 6)
    sent(here)

    there = at(tmp_path, "there")
    with carried.carried(there, minutes=1.0):
        assert texts(there.out) == {
            "training/checkpoint-6/model": "weights of 6",
            "training/best-2/model": "best of 2",
            "training/series.jsonl": "sample of 4\nsample of 6\n",
        }
    assert capsys.readouterr().err == "adapter: the checkpoint after step 6 comes from the mirror\n"


def test_a_machine_with_one_of_its_own_keeps_it(tmp_path: Path, here: Place) -> None:
    trained(here, 8)
    sent(here)
    there = at(tmp_path, "there")
    trained(there, 6)
    before = texts(there.out)

    with carried.carried(there, minutes=1.0):
        assert texts(there.out) == before


def test_the_newest_checkpoint_is_sent_while_the_build_runs_and_the_one_before_it_goes(
    tmp_path: Path, here: Place
) -> None:
    with carried.carried(here, minutes=0.0002):
        for step in (2, 4):
            trained(here, step)
            until = time.monotonic() + 10
            while f"weights of {step}" not in (found := mirrored(tmp_path)) or len(found) != 3:
                assert time.monotonic() < until, found
                time.sleep(0.01)

    assert "weights of 2" not in mirrored(tmp_path)


def test_once_the_result_is_there_no_checkpoint_stays(tmp_path: Path, here: Place) -> None:
    trained(here, 4)
    sent(here)
    carried.forget(here)

    assert mirrored(tmp_path) == []
    assert not (tmp_path / "mirror" / here.name).exists()


def test_a_build_that_is_told_to_end_sends_the_checkpoint_that_it_leaves(tmp_path: Path, here: Place, capsys) -> None:
    with pytest.raises(KeyboardInterrupt), carried.carried(here, minutes=60.0):
        trained(here, 4)
        raise KeyboardInterrupt

    assert mirrored(tmp_path) == ["best of 2", "sample of 4\n", "weights of 4"]
    assert capsys.readouterr().err == "adapter: the checkpoint after step 4 lies in the mirror\n"
    there = at(tmp_path, "there")
    with pytest.raises(KeyboardInterrupt), carried.carried(there, minutes=60.0):
        trained(there, 6)
        raise KeyboardInterrupt
    assert capsys.readouterr().err == (
        "adapter: the checkpoint after step 4 comes from the mirror\n"
        "adapter: the checkpoint after step 6 lies in the mirror\n"
    )


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_build_that_breaks_or_whose_lease_is_lost_sends_nothing_at_its_end(
    tmp_path: Path, here: Place, capsys, error: type[BaseException]
) -> None:
    def lost() -> None:
        raise Lost("the lease is another's")

    fenced = replace(here, mirror=replace(here.mirror, fence=lost if error is KeyboardInterrupt else lambda: None))
    with pytest.raises(error), carried.carried(fenced, minutes=60.0):
        trained(here, 4)
        raise error

    assert (mirrored(tmp_path), capsys.readouterr().err) == ([], "")


def test_one_who_was_followed_by_another_sends_nothing_more(tmp_path: Path, here: Place) -> None:
    trained(here, 4)
    version = sent(here)
    there = at(tmp_path, "there")
    trained(there, 6)
    sent(there, version)
    trained(here, 8)

    with pytest.raises(Lost, match="adapter: another builder's checkpoint lies in the mirror"):
        sent(here, version)


def test_one_whose_lease_is_lost_sends_nothing_more(tmp_path: Path, here: Place) -> None:
    def lost() -> None:
        raise Lost("the lease is another's")

    trained(here, 4)
    with pytest.raises(Lost):
        sent(replace(here, mirror=replace(here.mirror, fence=lost)))
    assert not (tmp_path / "mirror" / here.name).exists()


def test_what_is_pruned_while_it_is_read_is_no_snapshot(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(here, 4)
    copy = carried.shutil.copyfile

    def newer(source: Path, target: Path) -> None:
        copy(source, target)
        trained(here, 6)

    monkeypatch.setattr(carried.shutil, "copyfile", newer)
    assert not carried.snapshot(here.out, here.aside)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("best-2", "best-3", "was changed after {key} signed it"),
        (KEY, "cd" * 32, "was changed after {key} signed it"),
    ],
)
def test_what_nobody_trusted_signed_is_not_taken(tmp_path: Path, capsys, old: str, new: str, why: str) -> None:
    """torch unpickles what lies in a checkpoint, so it must be somebody's whom the profile trusts."""
    key = tmp_path / "key.pem"
    by = Trust((trust.new_key(key),), key)
    here = at(tmp_path, "here", by)
    trained(here, 4)
    sent(here)
    path = tmp_path / "mirror" / here.name
    path.write_text(path.read_text().replace(old, new))

    there = at(tmp_path, "there", by)
    with carried.carried(there, minutes=1.0):
        assert texts(there.out) == {}
    assert by.keys
    assert capsys.readouterr().err == (
        f"warning: adapter: mirror {here.mirror.url}: {here.name} {why.format(key=by.keys[0])}; "
        "going on without its checkpoint\n"
    )


def test_a_checkpoint_under_anothers_key_is_not_taken(tmp_path: Path, here: Place, capsys) -> None:
    trained(here, 4)
    sent(here)
    there = replace(at(tmp_path, "there"), key="cd" * 32)
    (tmp_path / "mirror" / here.name).rename(tmp_path / "mirror" / there.name)

    with carried.carried(there, minutes=1.0):
        assert texts(there.out) == {}
    assert "belongs to another key; going on without its checkpoint" in capsys.readouterr().err
