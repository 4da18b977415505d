"""Which devices train: one, several under `MirroredStrategy`, or those of several machines."""

import os
import platform
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import tensorflow as tf

from kuzushiji_tf.batches.startup import share_gpu_memory
from kuzushiji_tf.config import cluster_of_environment
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.training.workers import Team, join_cluster


def choose_devices(names: Sequence[str] | None = None) -> list[str]:
    """Return the names of the devices to train on.

    Args:
        names: such as `GPU:1` or `CPU:0`; None means all visible GPUs, or the processor where there is none.

    Raises:
        UserError: this machine has no such device.
    """
    gpus, cpus = (
        [f"{kind}:{index}" for index in range(len(tf.config.list_logical_devices(kind)))] for kind in ("GPU", "CPU")
    )
    if not names:
        return gpus or cpus[:1]
    for name in names:
        if name not in gpus + cpus:
            raise UserError(f"There is no device {name} for TensorFlow here; it finds {', '.join(gpus + cpus)}.")
    return list(dict.fromkeys(names))


def form_team(strategy: str = "auto", names: Sequence[str] | None = None) -> Team:
    """Return what trains, having waited for the other machines where there are some.

    Where there are, call it once, before TensorFlow has started.

    Args:
        strategy: `one` device; `mirrored`: several of this machine; `multiworker`: several machines; `auto`: what
            `TF_CONFIG` and the devices ask for.
        names: of devices, as `choose_devices` takes them.

    Raises:
        UserError: there is no such device, or no such cluster, or the other machines do not appear.
    """
    share_gpu_memory()
    cluster = cluster_of_environment()
    if strategy == "multiworker" or (strategy == "auto" and cluster):
        if not cluster:
            raise UserError(
                "Several machines train together where each is told of all: set TF_CONFIG, or give --workers and "
                "--worker-index."
            )
        if names:
            raise UserError(
                f"A worker trains on all of its GPUs: leave --devices {' '.join(names)} out, and hide the others with "
                "CUDA_VISIBLE_DEVICES."
            )
        return join_cluster(cluster)
    devices = choose_devices(names)
    if strategy == "one":
        if names and len(devices) > 1:
            raise UserError(f"--strategy one trains on one device: choose one of {', '.join(devices)}.")
        devices = devices[:1]
    if len(devices) > 1 or strategy == "mirrored":
        return Team(_mirrored(tuple(devices)), devices)
    if devices == choose_devices()[:1]:
        return Team(tf.distribute.get_strategy(), devices)  # which computes there anyway
    return Team(tf.distribute.OneDeviceStrategy(devices[0]), devices)


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the strategy of devices; a second one would take the sums of the first for its own."""
    return tf.distribute.MirroredStrategy(devices)


def device_name(devices: Sequence[str] | None = None) -> str:
    """Return what devices are, e.g. `2 x AMD EPYC 7B13` (a processor's logical cores) or `1 x NVIDIA H200`.

    Args:
        devices: as `choose_devices` takes and returns them.
    """
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    chosen = [int(name.removeprefix("GPU:")) for name in choose_devices(devices) if name.startswith("GPU:")]
    names = [details[index].get("device_name", "GPU") for index in chosen]
    if not names:
        information = Path("/proc/cpuinfo")
        text = information.read_text(encoding="utf-8") if information.exists() else ""
        found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        names = [found[1] if found else platform.processor() or platform.machine()] * cores
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())
