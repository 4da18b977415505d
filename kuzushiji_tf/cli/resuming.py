"""The flag `--resume`, which takes nothing or `auto`."""

from typing import Annotated, Any, Literal

from tyro.constructors import PrimitiveConstructorSpec


def _from_words(words: list[str]) -> bool | Literal["auto"]:
    if words == ["auto"]:
        return "auto"
    if words:
        raise ValueError(f"it takes nothing or auto, not {' '.join(words)}")
    return True


def _as_words(value: Any) -> list[str]:
    return {False: ["no"], True: []}.get(value, [str(value)])


Resume = Annotated[
    bool | Literal["auto"],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[auto]",
        instance_from_str=_from_words,
        is_instance=lambda value: value in (False, True, "auto"),
        str_from_instance=_as_words,
    ),
]
