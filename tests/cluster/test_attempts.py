"""What is done about a key's jobs, as tables: no cluster is asked."""

from __future__ import annotations

import pytest

from so8t.cluster import attempts, order
from so8t.cluster.attempts import Again, Attach, Done, Failed, Job, Submit

KEY, OTHER = "4a" * 32, "b7" * 32


def job(attempt: int, status: str, key: str = KEY) -> Job:
    return Job(f"so8t-{key}-{attempt}", status)


@pytest.mark.parametrize(
    ("jobs", "step"),
    [
        ([], Submit(f"so8t-{KEY}-1")),
        ([job(1, "PENDING")], Attach(f"so8t-{KEY}-1")),
        ([job(1, "RUNNING")], Attach(f"so8t-{KEY}-1")),
        ([job(1, "FAILED")], Submit(f"so8t-{KEY}-2")),
        ([job(1, "STOPPED")], Submit(f"so8t-{KEY}-2")),
        ([job(1, "SUCCEEDED")], Submit(f"so8t-{KEY}-2")),  # the store has lost what it made, or nobody would ask
        ([job(2, "RUNNING"), job(1, "FAILED")], Attach(f"so8t-{KEY}-2")),
        ([job(9, "FAILED"), job(10, "FAILED")], Submit(f"so8t-{KEY}-11")),
        ([job(3, "FAILED")], Submit(f"so8t-{KEY}-4")),  # somebody deleted the earlier ones
        ([job(1, "RUNNING", OTHER)], Submit(f"so8t-{KEY}-1")),
        ([Job("raysubmit_4LamXRuQpYdSMg7J", "RUNNING")], Submit(f"so8t-{KEY}-1")),
        ([Job(f"so8t-{KEY}-x", "RUNNING")], Submit(f"so8t-{KEY}-1")),
    ],
)
def test_a_job_that_lives_is_gone_on_with_and_else_the_next_attempt_is_made(
    jobs: list[Job], step: Attach | Submit
) -> None:
    assert attempts.choose(KEY, jobs) == step


LOG = (
    "2026-11-28 07:05:59,939\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    f"Running entrypoint for job so8t-{KEY}-1: python\nadapter: on node-b\nstep 1\nTraceback\nValueError: no\n"
)
KILLED = Job("j-1", "FAILED", "Job entrypoint command failed with exit code 137, last logs\nmore", 137)
GONE = Job("j-1", "FAILED", "Job supervisor actor died: The actor died unexpectedly before finishing this task.")


@pytest.mark.parametrize(
    ("ended", "word", "tried", "verdict"),
    [
        (Job("j-1", "SUCCEEDED"), {"how": "built", "machine": "node-b"}, 1, Done()),
        (
            Job("j-1", "FAILED", code=1),
            {"error": "adapter: the base is not a Phi-3", "machine": "node-b"},
            1,
            Failed("adapter: the base is not a Phi-3\n(on node-b, job j-1)"),
        ),
        (
            Job("j-1", "FAILED", code=2),
            {"bug": "Traceback ...", "machine": "node-b"},
            1,
            Failed(
                "adapter: a bug in so8t or in the stage; please report it\nTraceback ...\n(on node-b, job j-1)", False
            ),
        ),
        (
            Job("j-1", "STOPPED"),
            {},
            1,
            Failed("adapter: job j-1 was stopped; nothing was published, run doit again for another attempt"),
        ),
        (
            KILLED,
            {},
            1,
            Again("job j-1 ended without a word: Job entrypoint command failed with exit code 137, last logs"),
        ),
        (
            Job("j-1", "FAILED", "exit code 130", 130),  # its machine is about to go, and said so
            {"error": "adapter: stopped", "stopped": True, "machine": "node-b"},
            2,
            Again("job j-1 was stopped: exit code 130"),
        ),
        (
            Job("j-1", "STOPPED"),
            {"error": "adapter: stopped", "stopped": True, "machine": "node-b"},
            1,
            Failed("adapter: stopped\n(on node-b, job j-1)"),
        ),
        (Job("j-1", "FAILED", "", -9), {}, 2, Again("job j-1 ended without a word: killed by signal 9")),
        (Job("j-1", "FAILED"), {}, 2, Again("job j-1 ended without a word: status FAILED")),
        (
            GONE,
            {},
            3,
            Failed(
                "adapter: job j-1 ended without a word: Job supervisor actor died: The actor died unexpectedly before "
                "finishing this task.\n  adapter: on node-b\n  step 1\n  Traceback\n  ValueError: no\n"
                "that was attempt 3 of 3; run doit again for more"
            ),
        ),
    ],
)
def test_who_had_its_say_is_believed_and_who_was_killed_is_tried_again(
    ended: Job, word: dict, tried: int, verdict: Done | Again | Failed
) -> None:
    assert attempts.verdict("adapter", ended, word, LOG, tried) == verdict


def test_a_head_that_was_started_anew_knows_no_job_and_that_is_another_attempt_too() -> None:
    why = "the cluster does not know job j-1 any more: its head was started anew"

    assert attempts.lost("adapter", "j-1", 1) == Again(why)
    assert attempts.lost("adapter", "j-1", 3) == Failed(f"adapter: {why}; run doit again")


def test_the_log_for_people_is_without_rays_lines_and_those_for_doit() -> None:
    log = LOG + order.say(machine="node-b", how="built") + "\n"

    assert attempts.story(log) == ["adapter: on node-b", "step 1", "Traceback", "ValueError: no"]


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ("", {}),
        ("step 1\n", {}),
        ('so8t-node: {"how": "built"}\n', {"how": "built"}),
        ('so8t-node: {"how": "restored"}\nso8t-node: {"how": "built"}\nbye\n', {"how": "built"}),
        ('so8t-node: {"how": "bui', {}),  # killed in the middle of it
        ("so8t-node: 7\n", {}),
    ],
)
def test_the_last_word_of_a_node_is_heard_if_it_had_one(log: str, word: dict) -> None:
    assert order.heard(log) == word


def test_a_long_queue_and_a_long_silence_are_told() -> None:
    assert attempts.queued("adapter", 31.4, "GPU: 1, memory: 20 GiB") == (
        "adapter: in the cluster's queue for 31 s: no node has GPU: 1, memory: 20 GiB free; it goes on waiting "
        "(lower run.adapter.resources in profile.yaml if no node has as much)"
    )
    assert attempts.queued("adapter", 31.4, "GPU: 1", "Slurm says Priority") == (
        "adapter: in the cluster's queue for 31 s: Slurm says Priority, and it asks for GPU: 1; it goes on waiting "
        "(lower run.adapter.resources in profile.yaml if no node has as much)"
    )
    assert attempts.silent("adapter", "j-1", 300.2) == (
        "adapter: the cluster has not answered for 300 s; job j-1 may go on all the same: run doit again when the "
        "cluster answers"
    )
