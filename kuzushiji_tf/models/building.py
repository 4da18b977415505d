"""What the model families share: seeded initializers and the classifier head."""

import keras


class Seeds:
    """Hands each layer a seed of its own, so that nothing draws from a global generator."""

    def __init__(self, seed: int):
        self._next = seed * 10_007

    def draw(self) -> int:
        """Return the next seed."""
        self._next += 1
        return self._next

    def he_normal(self) -> keras.initializers.Initializer:
        """Return an initializer for layers followed by a ReLU (He et al. 2015)."""
        return keras.initializers.HeNormal(seed=self.draw())

    def glorot_uniform(self) -> keras.initializers.Initializer:
        """Return Keras's default initializer, seeded (Glorot and Bengio 2010)."""
        return keras.initializers.GlorotUniform(seed=self.draw())


def logits_layer(classes: int, seeds: Seeds) -> keras.layers.Dense:
    """Return the last layer; float32 whatever the precision of the others, so that the loss is exact."""
    return keras.layers.Dense(classes, kernel_initializer=seeds.glorot_uniform(), dtype="float32", name="logits")
