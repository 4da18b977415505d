"""How handwriting varies between people and pens: the strengths, and the ways to write a character."""

from dataclasses import dataclass, fields, replace
from typing import Any

from kuzushiji_tf.ink.strokes import Strokes

_OF_THE_PEN = ("width", "brush_width", "softness", "brightness", "brush", "grain", "scan")  # not of the hand


@dataclass(frozen=True)
class Variation:
    """How strongly writing varies: the largest change, drawn evenly from -value to +value unless said otherwise.

    Lengths are fractions of the character's box, scales are natural logarithms, angles are radians. What a hand does to
    strokes is multiplied by its carelessness, which is drawn for each image: most hands are neat, a few are wild.
    """

    carelessness: tuple[float, float] = (0.4, 2.6)  # from the neatest to the wildest; most are below the mean, 1.13
    rotation: float = 0.17  # of the character
    shear: float = 0.25
    aspect: float = 0.3  # the width's scale against the height's
    warp: float = 0.06  # smooth bending of the whole character, for each of six bending modes
    part_shift: float = 0.06  # of the strokes from some stroke on, which are a part of the character
    part_scale: float = 0.15
    stroke_shift: float = 0.05
    stroke_scale: float = 0.2
    stroke_rotation: float = 0.16
    stroke_bend: float = 0.07  # of the stroke's length, and at most of the box
    trim: float = 0.12  # cut off or lengthened at each end of a stroke, fraction of its length
    tremor: float = 0.02  # of the shakiest hand or mouse
    no_hook: float = 0.5  # probability that the hook at a stroke's end is left out
    serif: float = 0.25  # probability that a hand copies the serifs of print
    haste: float = 1.0  # from the model (0) towards its simplest form (1)
    join: float = 0.5  # probability that the pen stays down where the next stroke begins at once
    mark_shift: float = 0.04  # of the voicing marks together
    mark_scale: float = 0.2
    width: tuple[float, float] = (1.3, 5.5)  # of the pen, pixels of an image of 64
    brush: float = 0.12  # probability of a brush instead
    brush_width: tuple[float, float] = (4.0, 9.0)
    softness: float = 3.0  # pixels of an image of 64 over which ink fades at its edge, on top of antialiasing
    brightness: float = 0.3  # by how much ink may be dimmer than full
    grain: float = 0.2  # probability of an uneven line, as of a pencil or a dry brush
    scan: float = 0.25  # probability that the image went through a camera, a scanner or a file that lost something
    placement: float = 0.03  # of the finished character in its image, and of its size

    def scaled(self, factor: float) -> "Variation":
        """Return the variation with every strength of the hand multiplied by `factor`; at 0 all ink is plain."""
        changes: dict[str, Any] = {
            field.name: getattr(self, field.name) * factor
            for field in fields(self)
            if field.name not in (*_OF_THE_PEN, "carelessness")
        }
        if factor == 0:
            changes |= dict.fromkeys(("softness", "brightness", "brush", "grain", "scan"), 0.0)
        return replace(self, **changes)


@dataclass(frozen=True)
class Form:
    """One way to write a character.

    Attributes:
        strokes: in any unit, y down.
        weight: how common it is among the character's forms.
        marks: how many of the last strokes are voicing marks, which move together.
    """

    strokes: Strokes
    weight: float = 1.0
    marks: int = 0
