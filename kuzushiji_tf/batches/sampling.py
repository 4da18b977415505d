"""Which rows of the data a step uses, computed and never stored: an epoch's order, the classes' shares, virtual sets.

All of it is a pure function of the seed and the position, with tables no larger than the rows and the classes.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kuzushiji_tf.config import TrainingConfig

# The default 4 rounds leave outputs two positions apart correlated (by up to 0.3); 12 do not, at no measurable cost.
_ROUNDS = 12
_POWERS = {"natural": 1.0, "square_root": 0.5, "balanced": 0.0}


@dataclass(frozen=True)
class EpochPlan:
    """The order of the positions as a pure function of (seed, pass, step).

    A pass goes through all positions once. An epoch, the time between two validations, is one pass, or as many steps as
    `epoch_images` allows: a pass then spans several epochs, or an epoch several passes.

    Attributes:
        count: positions of the data set (real or virtual).
        batch_size: positions a step takes; never more than there are.
        seed: of every pass's order.
        epoch_images: positions of an epoch, rounded down to whole executions (at least one); 0: a pass.
        steps_per_execution: steps that are taken at once, so that an epoch has a multiple of them.
    """

    count: int
    batch_size: int
    seed: int
    epoch_images: int = 0
    steps_per_execution: int = 1

    @property
    def step_size(self) -> int:
        """Positions in one step."""
        return min(self.batch_size, self.count)

    @property
    def steps_per_pass(self) -> int:
        """Whole steps in a pass; the remainder waits for another pass's order, so that all batches are alike."""
        return self.count // self.step_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps between two validations."""
        steps = self.epoch_images // self.step_size if self.epoch_images else self.steps_per_pass
        return max(steps // self.steps_per_execution, 1) * self.steps_per_execution

    def positions(self, pass_number: tf.Tensor, step: tf.Tensor, steps: int | tf.Tensor = 1) -> tf.Tensor:
        """Return the positions int64 `[step_size]` of a step of a pass; a pass never takes one twice.

        With `steps` above 1 those of so many steps, one after the other.
        """
        size = tf.constant(self.step_size, tf.int64)
        index = tf.cast(step, tf.int64) * size + tf.range(tf.cast(steps, tf.int64) * size)
        seed = tf.stack([tf.cast(self.seed, tf.int32), tf.cast(pass_number, tf.int32), 0x5EED])
        shuffled = tf.raw_ops.RandomIndexShuffle(
            index=index, seed=tf.cast(seed, tf.uint32), max_index=tf.constant(self.count - 1, tf.int64), rounds=_ROUNDS
        )
        # The cipher behind the shuffle favors some positions of small sets; a rotation of each pass evens that out.
        rotation = tf.random.stateless_uniform((), seed[:2], maxval=self.count, dtype=tf.int64)
        return (shuffled + rotation) % self.count


class ClassSampling:
    """As many positions as there are rows, shared out among the classes by a power of their number of rows.

    Within a class the rows take turns, from pass to pass where they left off: a class that has more rows than its share
    shows all of them in the course of the passes.

    Args:
        labels: the class of each row of the data set, int `[n]`.
        rows: the rows to take, int `[m]`.
        power: a class of k rows gets a share proportional to k to this power: 1 natural, 0 the same for all.
        seed: of the order within the classes.
        last_as_it_is: whether the last class, that of what is no character, keeps the share that its rows have.
    """

    def __init__(self, labels: np.ndarray, rows: np.ndarray, power: float, seed: int, last_as_it_is: bool = False):
        order, numbers = _by_class(labels, rows, seed)
        whole = numbers[-1:] if last_as_it_is else numbers[:0]
        self.shares = np.append(shares(numbers[: len(numbers) - len(whole)], power), whole)
        self._order, self._numbers = tf.constant(order), tf.constant(numbers)
        self._first_rows, self._shares = tf.constant(_starts(numbers)), tf.constant(self.shares)
        self._first_positions = tf.constant(_starts(self.shares))

    def __len__(self) -> int:
        """Positions of a pass."""
        return len(self._order)

    def rows(self, positions: tf.Tensor, pass_number: tf.Tensor) -> tf.Tensor:
        """Return the row int64 `[k]` at each of the positions int64 `[k]` in a pass."""
        group = tf.searchsorted(self._first_positions, positions, side="right", out_type=tf.int64) - 1
        place = positions - tf.gather(self._first_positions, group)
        cycled = place + tf.cast(pass_number, tf.int64) * tf.gather(self._shares, group)
        return tf.gather(self._order, tf.gather(self._first_rows, group) + cycled % tf.gather(self._numbers, group))


class BalancedPlan:
    """A virtual set with the same number of images of each class: position i is class i // n, copy i % n.

    The first copies are the originals themselves (the first n of a seeded order, where a class has more); the others
    are to be made from an original that a hash of the position names.

    Args:
        labels: the class of each row of the data set, int `[n]`.
        rows: the rows that count as originals, int `[m]`; a class without any is left out.
        per_class: images of each class.
        seed: of the order within the classes, and of all that is drawn for the copies.
    """

    def __init__(self, labels: np.ndarray, rows: np.ndarray, per_class: int, seed: int):
        order, numbers = _by_class(labels, rows, seed)
        self.per_class, self.seed = per_class, seed
        self._order, self._numbers = tf.constant(order), tf.constant(numbers)
        self._first_rows = tf.constant(_starts(numbers))

    def __len__(self) -> int:
        """Images of the virtual set."""
        return len(self._numbers) * self.per_class

    def originals(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the row int64 `[k]` behind each of the positions int64 `[k]`, and bool `[k]`: is it shown as it is?"""
        group, copy = positions // self.per_class, positions % self.per_class
        number = tf.gather(self._numbers, group)
        drawn = position_uniforms(positions, self.seed, 1)[:, 0]
        chosen = tf.cast(drawn * tf.cast(number, tf.float32), tf.int64)
        place = tf.where(copy < number, copy, tf.minimum(chosen, number - 1))
        return tf.gather(self._order, tf.gather(self._first_rows, group) + place), copy < number


def position_uniforms(positions: tf.Tensor, seed: int, columns: int, first: int = 0) -> tf.Tensor:
    """Return a table of uniforms that depend on (seed, position, column) alone, whatever the batch.

    A counter-based generator: the finalizer of MurmurHash3 (Appleby, public domain), twice for each value, over 64 bits
    of key for each position. TensorFlow's stateless generators take one seed for a whole tensor.

    Args:
        positions: int64 `[k]`, not negative.
        seed: 0 or above.
        columns: how many.
        first: number of the first column.

    Returns:
        float32 `[k, columns]` in 0 <= u < 1, multiples of 2^-24.
    """
    low, high = tf.cast(positions & 0xFFFFFFFF, tf.uint32), tf.cast(positions // (1 << 32), tf.uint32)
    seeds = [tf.constant(part, tf.uint32) for part in np.random.SeedSequence(seed).generate_state(4)]
    key = _mixed(low + _mixed(high + seeds[0]) + seeds[1])[:, None]
    lock = _mixed(low * _word(0x9E3779B1) + _mixed(high + seeds[2]) + seeds[3])[:, None]
    counter = tf.constant((np.arange(first, first + columns) * 0x9E3779B9 & 0xFFFFFFFF).astype(np.uint32))
    value = _mixed(_mixed(key + counter) ^ lock)
    return tf.cast(tf.bitwise.right_shift(value, _word(8)), tf.float32) * 2.0**-24


def _mixed(value: tf.Tensor) -> tf.Tensor:
    """Return uint32 values of which every bit depends on every bit given (MurmurHash3's fmix32)."""
    value = (value ^ tf.bitwise.right_shift(value, _word(16))) * _word(0x85EBCA6B)
    value = (value ^ tf.bitwise.right_shift(value, _word(13))) * _word(0xC2B2AE35)
    return value ^ tf.bitwise.right_shift(value, _word(16))


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)


def shares(numbers: np.ndarray, power: float) -> np.ndarray:
    """Share `numbers.sum()` positions out in proportion to `numbers ** power`, by largest remainder.

    Args:
        numbers: rows of each class, int64 `[classes]`, none of them 0.
        power: 0 to 1; no class then gets less than one position.

    Returns:
        int64 `[classes]` with the same sum.
    """
    weights = numbers.astype(np.float64) ** power
    exact = numbers.sum() * weights / weights.sum()
    whole = np.floor(exact).astype(np.int64)
    most_lost = np.argsort(whole - exact, kind="stable")
    whole[most_lost[: numbers.sum() - whole.sum()]] += 1
    return whole


def make_sampling(
    config: TrainingConfig, labels: np.ndarray, rows: np.ndarray
) -> np.ndarray | ClassSampling | BalancedPlan:
    """Return what the config's positions stand for, as `pipeline.training_batches` takes it."""
    if config.balance:
        return BalancedPlan(labels, rows, config.balance, config.seed)
    if config.sampling == "natural":
        return rows
    return ClassSampling(labels, rows, _POWERS[config.sampling], config.seed, last_as_it_is=config.refuse > 0)


def _by_class(labels: np.ndarray, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows ordered by class (within a class at random) and the number of each class that has any."""
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(np.asarray(rows, np.int64))
    found = labels[shuffled]
    numbers = np.bincount(found)
    return shuffled[np.argsort(found, kind="stable")], numbers[numbers > 0]


def _starts(numbers: np.ndarray) -> np.ndarray:
    return np.cumsum(numbers) - numbers
