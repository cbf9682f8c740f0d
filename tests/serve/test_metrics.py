"""Metrics as Prometheus' own client reads them: the same names and labels as ever, and nothing beside them."""

from prometheus_client.parser import text_string_to_metric_families as parsed

from so8t.serve.metrics import BUCKETS, MEDIA_TYPE, Metrics


def test_names_kinds_and_labels_are_these() -> None:
    metrics = Metrics()
    metrics.responded("/think", 200)
    metrics.replied("answered", "ALLOW")
    metrics.replied("broken", None)
    metrics.wait.observe(0.3)
    metrics.answer.observe(500)
    families = {family.name: family for family in parsed(metrics.text(3, 1))}

    assert {name: family.type for name, family in families.items()} == {
        "so8t_responses": "counter",
        "so8t_replies": "counter",
        "so8t_wait_seconds": "histogram",
        "so8t_answer_seconds": "histogram",
        "so8t_slots_free": "gauge",
        "so8t_queue_waiting": "gauge",
    }
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        if family.type != "histogram"
        for sample in family.samples
    }
    assert values == {
        ("so8t_responses_total", "/think", "200"): 1,
        ("so8t_replies_total", "ALLOW", "answered"): 1,
        ("so8t_replies_total", "none", "broken"): 1,
        ("so8t_slots_free",): 3,
        ("so8t_queue_waiting",): 1,
    }
    assert MEDIA_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_a_histogram_counts_up_to_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.005, 0.3, 0.3, 500):
        metrics.wait.observe(seconds)
    (found,) = (family for family in parsed(metrics.text(0, 0)) if family.name == "so8t_wait_seconds")
    buckets = [(s.labels["le"], s.value) for s in found.samples if s.name == "so8t_wait_seconds_bucket"]
    rest = {s.name: s.value for s in found.samples if s.name != "so8t_wait_seconds_bucket"}

    assert [bound for bound, _ in buckets] == [*map(str, BUCKETS), "+Inf"]
    assert [count for _, count in buckets] == [1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 4]
    assert rest == {"so8t_wait_seconds_count": 4, "so8t_wait_seconds_sum": 500.605}


def test_two_apps_in_a_process_do_not_share_a_number() -> None:
    one, other = Metrics(), Metrics()
    one.responded("/think", 200)

    assert 'status="200"' in one.text(0, 0) and 'status="200"' not in other.text(0, 0)
