"""Whether a trained recognizer takes the same images, and tells the same classes apart, as something else."""

from kuzushiji_tf.characters.labels import Labels


def difference(
    labels: Labels, image_size: tuple[int, int], other_labels: Labels, other_size: tuple[int, int]
) -> str | None:
    """Return in a few words the first way in which two are not alike, that of the one first; None where they are."""
    if len(labels) != len(other_labels):
        return f"{len(labels)} and {len(other_labels)} classes"
    for number, (character, other) in enumerate(zip(labels, other_labels, strict=True)):
        if character != other:
            return f"class {number} is {character} and {other}"
    if image_size != other_size:
        sizes = ["x".join(map(str, size)) for size in (image_size, other_size)]
        return f"images of {sizes[0]} and {sizes[1]} pixels"
    return None
