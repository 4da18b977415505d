"""Which devices train: one, or all visible GPUs under `MirroredStrategy`."""

import os
import platform
import re
from collections import Counter
from pathlib import Path

import tensorflow as tf


def make_strategy(devices: list[str] | None = None) -> tf.distribute.Strategy:
    """Return the strategy for the given devices.

    Keras wants one strategy object a process: create it once, and build the model under its scope.

    Args:
        devices: names such as `GPU:0` or `CPU:1`; None means all visible GPUs.

    Returns:
        The default strategy for one device (or none named on a machine without GPUs), else a `MirroredStrategy`.
    """
    if devices is None:
        devices = [f"GPU:{index}" for index in range(len(tf.config.list_logical_devices("GPU")))]
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def device_name() -> str:
    """Return what this process computes with, e.g. `2 x AMD EPYC 7B13` (logical cores) or `1 x NVIDIA H200`."""
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    names = [detail.get("device_name", "GPU") for detail in details]
    if not names:
        information = Path("/proc/cpuinfo")
        text = information.read_text(encoding="utf-8") if information.exists() else ""
        found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        names = [found[1] if found else platform.processor() or platform.machine()] * cores
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())
