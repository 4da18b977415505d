"""What a run compiles: the recognizer, the graph that trains it, the loss and the optimizer."""

import keras
import tensorflow as tf

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.capsnet import reconstruction_graph
from kuzushiji_tf.models.distilling import distillation_graph
from kuzushiji_tf.models.mixing import count_mixable, mixing_graph
from kuzushiji_tf.training.epoch_metrics import MacroPrecision, MacroRecall
from kuzushiji_tf.training.freezing import freeze
from kuzushiji_tf.training.losses import MarginLoss
from kuzushiji_tf.training.sharing import shared_model


def compiled_models(
    config: TrainingConfig,
    image_size: tuple[int, int],
    classes: int,
    plan: EpochPlan,
    teacher: keras.Model | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Return a new recognizer of the config, and the compiled model that trains it; call it under the strategy's scope.

    The two are one, unless training adds to the recognizer's graph: manifold mixup, a decoder that redraws images, the
    teacher of `config.distillation`, or several devices.
    """
    recognizer = build_model(
        config.model, image_size, classes, config.seed, config.precision, architecture=config.architecture
    )
    for layer in recognizer.layers if config.synchronize else ():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    freeze(recognizer, config.freeze)
    model = recognizer
    if config.mixing == "manifold":
        model = mixing_graph(recognizer)
    if config.architecture.reconstruction:
        model = reconstruction_graph(recognizer, config.architecture.reconstruction, config.seed)
    if teacher is not None:
        model = distillation_graph(
            recognizer, teacher, config.distillation.teacher_weight, config.distillation.temperature
        )
    model = shared_model(model, plan.step_size)
    model.compile(
        optimizer=_optimizer(config, plan.steps_per_epoch),
        loss=_loss(config),
        loss_weights=None if teacher is None else 1 - config.distillation.teacher_weight,
        metrics=[
            keras.metrics.CategoricalAccuracy(name="accuracy"),
            MacroPrecision(classes, name="precision"),
            MacroRecall(classes, name="recall"),
        ],
        jit_compile=config.jit,
        steps_per_execution=config.steps_per_execution,
    )
    return recognizer, model


def _loss(config: TrainingConfig) -> keras.losses.Loss:
    if config.loss == "margin":
        return MarginLoss()
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)


def unmixed(batches: tf.data.Dataset | None, config: TrainingConfig, recognizer: keras.Model) -> tf.data.Dataset | None:
    """Return validation batches, if any, in the form that the training model takes, with nothing mixed."""
    if batches is None:
        return None
    if config.mixing == "manifold":
        layers = count_mixable(recognizer)
        return batches.map(
            lambda images, targets: ({"image": images, "shares": tf.ones((tf.shape(images)[0], layers))}, targets)
        )
    return with_targets(batches, config)


def with_targets(batches: tf.data.Dataset, config: TrainingConfig) -> tf.data.Dataset:
    """Return the batches with their targets among the inputs, where a decoder redraws the image of its class."""
    if not config.architecture.reconstruction:
        return batches
    return batches.map(lambda images, targets: ({"image": images, "target": targets}, targets))


def _optimizer(config: TrainingConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(round(config.warmup_epochs * steps_per_epoch), config.epochs * steps_per_epoch - 1)
        steps = config.epochs * steps_per_epoch - warmup
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, steps, warmup_target=rate if warmup else None, warmup_steps=warmup
        )
    settings = {"learning_rate": rate, "weight_decay": config.weight_decay or None}
    if config.ema_decay:
        settings |= {"use_ema": True, "ema_momentum": config.ema_decay}
    match config.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings)
        case "adamw":
            optimizer = keras.optimizers.AdamW(**settings | {"weight_decay": config.weight_decay})  # which refuses None
        case "adadelta":
            optimizer = keras.optimizers.Adadelta(**settings)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
