"""The manifests on the page about scaling are what Kubernetes and the command take."""

import shlex

import yaml

from kuzushiji_tf.config import cluster_of_flags
from tests.snippets import code_block


def test_the_job_starts_as_many_workers_as_its_command_names_at_the_services_addresses():
    service, job = yaml.safe_load_all(code_block("docs/scaling.md", "yaml", "completionMode"))
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    words = shlex.split(container["args"][0])
    assert words[words.index("--resume") + 1] == "auto"
    cluster = cluster_of_flags(words[words.index("--workers") + 1], spec["completions"] - 1)
    assert len(cluster.workers) == spec["completions"] == spec["parallelism"]
    name, domain = job["metadata"]["name"], spec["template"]["spec"]["subdomain"]
    assert domain == service["metadata"]["name"]
    assert [address.partition(":")[0] for address in cluster.workers] == [
        f"{name}-{index}.{domain}" for index in range(spec["completions"])
    ]
    assert service["spec"]["selector"] == {"job-name": name}
