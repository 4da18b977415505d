"""Knowledge distillation (Hinton et al. 2015): a training graph that also learns a teacher's probabilities."""

import keras
from keras import layers, ops

_LEAST_PROBABILITY = 1e-7  # of a class that the teacher rules out


@keras.saving.register_keras_serializable(package="kuzushiji_tf")
class DistillationLoss(layers.Layer):
    """Adds the divergence of a student's probabilities from a teacher's to the loss; returns the student's logits.

    Inputs: the student's logits and the teacher's probabilities, both `[batch, classes]`. Both are softened, that is,
    taken as the softmax of logits over the temperature, and the divergence KL(teacher || student) is multiplied by the
    temperature's square, which keeps its gradients as large as those of the labels (section 2 of the paper).
    """

    def __init__(self, weight: float, temperature: float, **settings):
        super().__init__(**{"dtype": "float32"} | settings)
        self.weight = weight
        self.temperature = temperature

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Return the logits, having added the loss."""
        logits, probabilities = inputs
        # A softmax's logarithm is its logits, but for a constant that the next softmax takes away again.
        teacher = ops.log_softmax(ops.log(ops.maximum(probabilities, _LEAST_PROBABILITY)) / self.temperature)
        student = ops.log_softmax(logits / self.temperature)
        divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
        self.add_loss(self.weight * self.temperature**2 * ops.mean(divergence))
        return logits

    def get_config(self) -> dict:
        """Return what the layer is made from."""
        return super().get_config() | {"weight": self.weight, "temperature": self.temperature}


def distillation_graph(recognizer: keras.Model, teacher: keras.Model, weight: float, temperature: float) -> keras.Model:
    """Return a training graph from images to the recognizer's logits, with the loss that `DistillationLoss` adds.

    Args:
        recognizer: the student; logits out.
        teacher: images of the same size in, probabilities of the same classes out; it is frozen.
        weight: of that loss.
        temperature: that softens both.
    """
    teacher.trainable = False
    image = keras.Input(recognizer.inputs[0].shape[1:], name="image")
    student = keras.Model(recognizer.inputs[0], recognizer.outputs[0], name="student")
    taught = keras.Model(teacher.inputs[0], teacher.outputs[0], name="teacher")
    outputs = [student(image), taught(image, training=False)]
    logits = DistillationLoss(weight, temperature, name="distillation_loss")(outputs)
    return keras.Model(image, logits, name=f"{recognizer.name}_with_teacher")
