"""What the API takes and gives, checked by pydantic: wrong types, NaN and infinities never reach a recognizer."""

from typing import Annotated, Literal

from pydantic import AllowInfNan, BaseModel, ConfigDict, FailFast, Field, ValidationError

from kuzushiji_tf.ink.strokes import MOST_POINTS, MOST_STROKES
from kuzushiji_tf.recognition.readings import Script
from kuzushiji_tf.recognition.recognizer import Polarity
from kuzushiji_tf.recognition.words import MOST_CHARACTERS, TextCandidate

MOST_CANDIDATES = 50

Number = Annotated[float, AllowInfNan(False)]
Point = Annotated[list[Number], Field(min_length=2, max_length=3)]
Side = Annotated[float, AllowInfNan(False), Field(gt=0)]
Stroke = Annotated[list[Point], FailFast(), Field(max_length=MOST_POINTS)]


class Options(BaseModel):
    """How a character is to be read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(None, max_length=100, description="A name of /v1/models; none: the default one.")
    top_k: int = Field(5, ge=1, le=MOST_CANDIDATES, description="Candidates wanted, at most.")
    script: Script = Field("all", description="Which characters to expect; other: digits, letters and marks.")


class _PadOptions(Options):
    canvas: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="Width and height of the pad where the strokes were drawn, (0, 0) its top left corner: "
        "small kana and marks are told from large characters by their size and place.",
        examples=[[100, 100]],
    )


class InkOptions(_PadOptions):
    """A character as strokes, with how it is to be read."""

    strokes: Annotated[list[Stroke], FailFast(), Field(max_length=MOST_STROKES)] = Field(
        description="Strokes in the order of writing, each a list of [x, y] or [x, y, t], y down, in any unit.",
        examples=[[[[30, 20], [80, 20]], [[55, 5], [52, 60], [30, 95]]]],
    )


class TextOptions(_PadOptions):
    """A line of characters as strokes, with how it is to be read."""

    strokes: Annotated[list[Stroke], FailFast(), Field(max_length=MOST_STROKES * MOST_CHARACTERS)] = Field(
        description="As for a character; each character is finished before the next is begun.",
        examples=[[[[5, 20], [45, 20]], [[25, 5], [25, 90]], [[65, 20], [105, 20]], [[85, 5], [85, 90]]]],
    )


class ImageOptions(Options):
    """How the character of a picture is to be read."""

    polarity: Polarity = Field("auto", description="The ink against the paper.")


class CandidateAnswer(BaseModel):
    """One reading of a character."""

    character: str = Field(examples=["あ"])
    code_point: str = Field(examples=["U+3042"])
    probability: float = Field(ge=0, le=1)


class Recognition(BaseModel):
    """The readings of a character, best first."""

    model: str
    is_character: bool = Field(description="False for a blank, a scribble or the like; see unknown.")
    unknown: float = Field(ge=0, le=1, description="The probability that it is not a character.")
    candidates: list[CandidateAnswer] = Field(description="There are some even where is_character is false.")


class SegmentAnswer(BaseModel):
    """The part of a line that was read as one character."""

    first: int = Field(ge=0, description="The number of its first stroke, from 0.")
    strokes: int = Field(ge=1, description="How many strokes it has.")
    candidates: list[CandidateAnswer] = Field(description="That of the line first.")


class TextAnswer(BaseModel):
    """One reading of a line."""

    text: str = Field(examples=["明日"])
    score: float = Field(description="A logarithm, which ranks the readings of this line alone.")
    segments: list[SegmentAnswer]

    @classmethod
    def of(cls, text: TextCandidate) -> "TextAnswer":
        """Return a reading as it is answered."""
        segments = [
            SegmentAnswer(
                first=segment.strokes.start,
                strokes=len(segment.strokes),
                candidates=[CandidateAnswer(**vars(candidate)) for candidate in segment.candidates],
            )
            for segment in text.segments
        ]
        return cls(text=text.text, score=text.score, segments=segments)


class TextRecognition(BaseModel):
    """The readings of a line, best first."""

    model: str
    texts: list[TextAnswer]


class ModelAnswer(BaseModel):
    """A recognizer that is served."""

    name: str
    title: str
    classes: int = Field(description="Characters that it tells apart.")
    scripts: list[str]
    size: int = Field(description="Height and width of its input, in pixels.")
    bytes: int = Field(description="Of its file, model-int8.tflite.")
    normalization: str = Field(description="ink-box: made for pen strokes; none: for scanned characters.")
    licence: str
    credit: str


class ModelsAnswer(BaseModel):
    """The recognizers that are served."""

    default: str = Field(description="Reads where a request names none.")
    models: list[ModelAnswer]


class LabelsAnswer(BaseModel):
    """The classes of a recognizer, in index order."""

    model: str
    characters: list[str]
    code_points: list[str]


class Health(BaseModel):
    """The server is able to answer."""

    status: Literal["ok"] = "ok"


class Error(BaseModel):
    """What went wrong, in one sentence."""

    error: str


def describe(error: ValidationError) -> str:
    """Return the first of a validation's errors as one sentence, without what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}." if where else f"{first['msg']}."
