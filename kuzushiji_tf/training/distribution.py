"""Which devices train: one, or several under `MirroredStrategy`, which then share each batch."""

import os
import platform
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from kuzushiji_tf.errors import UserError


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


def make_strategy(devices: list[str]) -> tf.distribute.Strategy:
    """Return the strategy for the devices that `choose_devices` returned.

    Keras wants one strategy object a process: create it once, and build the model under its scope.
    """
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy(devices)
    if devices == choose_devices()[:1]:
        return tf.distribute.get_strategy()  # which computes there anyway
    return tf.distribute.OneDeviceStrategy(devices[0])


def divide_evenly(
    batches: tf.data.Dataset | None, replicas: int, count: int, batch_size: int
) -> tf.data.Dataset | None:
    """Return batches that replicas can share equally; together they have the loss and the metrics of one.

    TensorFlow gives the last replicas fewer images of a batch that does not divide, or none, whose mean loss is not a
    number; Keras takes the mean of the replicas' means, whatever each has. So a batch is filled up with copies of its
    first image that weigh nothing, and its own images weigh so much more that the mean over all is theirs.

    Args:
        batches: (inputs, targets); None: there are none.
        replicas: how many share a batch.
        count: images over which the mean is taken: those of a training step, or of the whole validation.
        batch_size: images of each batch; the last one may have fewer.

    Returns:
        (inputs, targets, weights float32 `[n]`), n a multiple of `replicas`; the batches themselves where all divide.
    """
    whole, rest = divmod(count, batch_size)
    filled = replicas * (whole * -(-batch_size // replicas) + -(-rest // replicas))
    if batches is None or filled == count:
        return batches

    def fill(inputs: Any, targets: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        size = targets.shape[0] or tf.shape(targets)[0]
        rows = tf.concat([tf.range(size), tf.zeros(-size % replicas, tf.int32)], axis=0)
        weights = tf.where(tf.range(tf.size(rows)) < size, filled / count, 0.0)
        inputs, targets = tf.nest.map_structure(lambda values: tf.gather(values, rows), (inputs, targets))
        return inputs, targets, weights

    return batches.map(fill, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


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
