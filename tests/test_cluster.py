"""Which machines train together: what TF_CONFIG and the flags say, and what they cannot say."""

import json

import pytest

from kuzushiji_tf.config import Cluster, cluster_of_environment, cluster_of_flags, write_environment
from kuzushiji_tf.errors import UserError

TWO = ["a:2222", "b:2222"]


def environment(monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value if isinstance(value, str) else json.dumps(value))
    return cluster_of_environment()


def test_what_the_flags_say_is_what_tensorflow_reads(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    cluster = cluster_of_flags("a:2222, b:2222", 1)
    assert cluster == Cluster(tuple(TWO), 1) and cluster.address == "b:2222"
    write_environment(cluster)
    assert cluster_of_environment() == cluster


def test_a_chief_is_the_first_of_the_workers(monkeypatch):
    jobs = {"chief": ["c:1"], "worker": TWO}
    assert environment(monkeypatch, {"cluster": jobs, "task": {"type": "worker", "index": 1}}).index == 2
    cluster = environment(monkeypatch, {"cluster": jobs, "task": {"type": "chief", "index": 0}})
    assert cluster == Cluster(("c:1", *TWO), 0)


@pytest.mark.parametrize(
    "value", ["", "{}", {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}], ids=str
)
def test_one_machine_is_no_cluster(monkeypatch, value):
    assert environment(monkeypatch, value) is None


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "[]",
        "3",
        {"cluster": {"worker": TWO}},
        {"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}},
        {"cluster": {"worker": TWO}, "task": {"type": "worker", "index": "first"}},
        {"cluster": {"worker": TWO, "ps": ["p:1"]}, "task": {"type": "ps", "index": 0}},
        {"cluster": {"worker": TWO}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"worker": TWO}, "task": {"type": "worker", "index": 2}},
    ],
    ids=str,
)
def test_a_malformed_tf_config_is_one_sentence(monkeypatch, value):
    with pytest.raises(UserError, match="TF_CONFIG"):
        environment(monkeypatch, value)


@pytest.mark.parametrize(
    ("workers", "index", "said"),
    [
        ("a:1,b:1", None, "--worker-index"),
        (None, 1, "--workers"),
        ("a:1,b:1", 2, "0 <= index < 2"),
        ("a:1,b:1", -1, "0 <= index < 2"),
        ("a:1,b", 0, "'b'"),
        ("a:1,b:70000", 0, "'b:70000'"),
        ("a:1,,b:1", 0, "''"),
        ("a:1,a:1", 0, "same address"),
    ],
)
def test_flags_that_cannot_be_are_refused(workers, index, said):
    with pytest.raises(UserError, match=said):
        cluster_of_flags(workers, index)
