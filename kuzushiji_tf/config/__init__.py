"""Every setting of a training run, defined once; the flags and the recipes are made from these classes.

`rules` says what a value has to be, `training` holds the classes, `recipes` reads them from TOML and JSON. `cluster` is
about the machines that train together.
"""

from kuzushiji_tf.config.cluster import Cluster, cluster_of_environment, cluster_of_flags, write_environment
from kuzushiji_tf.config.recipes import (
    SCHEMA,
    Leaderboard,
    config_as_known,
    config_from_dict,
    load_leaderboard,
    load_recipe,
    require_known_schema,
)
from kuzushiji_tf.config.rules import (
    AT_LEAST_ONE,
    BELOW_ONE,
    LARGEST_NUMBER,
    LARGEST_SIZE,
    NOT_NEGATIVE,
    POSITIVE,
    SMALLEST_SIZE,
    Rule,
    require,
    require_finite,
)
from kuzushiji_tf.config.training import (
    LARGEST_CLASS,
    Architecture,
    Distillation,
    ImageAugmentation,
    Neighbors,
    TrainingConfig,
)

__all__ = [
    "AT_LEAST_ONE",
    "BELOW_ONE",
    "LARGEST_CLASS",
    "LARGEST_NUMBER",
    "LARGEST_SIZE",
    "NOT_NEGATIVE",
    "POSITIVE",
    "SCHEMA",
    "SMALLEST_SIZE",
    "Architecture",
    "Cluster",
    "Distillation",
    "ImageAugmentation",
    "Leaderboard",
    "Neighbors",
    "Rule",
    "TrainingConfig",
    "cluster_of_environment",
    "cluster_of_flags",
    "config_as_known",
    "config_from_dict",
    "load_leaderboard",
    "load_recipe",
    "require",
    "require_finite",
    "require_known_schema",
    "write_environment",
]
