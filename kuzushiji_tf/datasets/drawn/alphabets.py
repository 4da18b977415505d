"""Letters of other scripts than a data set's: what a recognizer of its characters may be shown, and should refuse."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import in_script, look_alike
from kuzushiji_tf.datasets.kanjivg import has_strokes

# DejaVu's faces come with matplotlib. Of the scripts that they have, those whose letters are mere corners and bars
# (Canadian syllabics, Lisu, Tifinagh, Ogham) look like kana too often.
FACES = ("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif", "Serif-Bold", "Serif-Italic")
_SCRIPTS = (
    *("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "LAO", "NKO", "COPTIC"),
    *("HANGUL", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "TELUGU", "KANNADA", "KHMER"),  # not in DejaVu
)
# Without their marks: what people could take for 丨 丁 廾 乂 乙 ヨ 三 口 し 厂 几 人 山 中 川, a digit or a stroke.
_LIKE_KANJI = frozenset("ՕՈՍՏԼՀԵIilıTtHXxZzEFOoLJjYyVvKNnmuwWΓΙιΞΛΟοΠπΤτΥΦφΨψΧωГгЕЗІОоПпТтУФфХхЦцЧчШшЩщЭэЮӀוזןסרדךاأإآ")
_MOST_SLENDER = 1.5  # width to height, or height to width, of several letters in a square
# What the kana were made from (jibo): as a picture each is a kana, in the hand of the time, and no other script's.
JIBO = (
    "安愛阿悪以伊意移宇有羽雲衣江要於加可家我閑嘉賀香幾起支喜貴木久九具求倶計介気希遣古己故許期左佐差散之志四事"
    "新寸春須寿数受世勢聲瀬曽所楚蘇太多堂当田知千地智致川津徒都天帝亭傳弖登止東度斗奈那難名南仁丹耳二爾尓奴怒努"
    "祢年子根熱乃能農濃波者八半葉婆盤比悲飛日非火不婦布風部遍邊弊保本報寶穂末万満萬馬真美見三身微武無舞牟女免面"
    "馬毛母茂裳蒙藻也屋夜耶野由遊油湯与余世代良羅等落里利理梨離留流類累瑠禮礼麗連呂路露魯婁和王倭為井遺惠衛遠越"
    "乎平緒尾无尤"
)


@dataclass(frozen=True)
class Face:
    """A font's file, and the letters that it has of each script."""

    file: Path
    alphabets: tuple[str, ...]

    def without(self, scripts: tuple[str, ...]) -> "Face":
        """Return the face without scripts, named as the letters' names in Unicode begin: `LATIN`."""
        return Face(self.file, tuple(letters for letters in self.alphabets if _script(letters[0]) not in scripts))


@cache
def dejavu_faces() -> tuple[Face, ...]:
    """Return the faces of DejaVu, which come with matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return tuple(_face(folder / f"DejaVu{face}.ttf") for face in FACES)


@cache
def foreign_faces(files: tuple[Path, ...], without: tuple[str, ...]) -> tuple[Face, ...]:
    """Return the faces of DejaVu and of font files that have letters of scripts other than those `without`."""
    faces = (*dejavu_faces(), *map(_face, files))
    return tuple(face for face in (face.without(without) for face in faces) if face.alphabets)


def _face(file: Path) -> Face:
    letters = [chr(code) for code in sorted(FT2Font(file).get_charmap()) if is_foreign(chr(code))]
    by_script = ("".join(letter for letter in letters if _script(letter) == script) for script in _SCRIPTS)
    return Face(file, tuple(alphabet for alphabet in by_script if alphabet))


def foreign_characters(classes: Labels) -> tuple[str, ...]:
    """Return characters of the Japanese scripts that a data set has no class of; none where it has some of each.

    Left out are the look-alikes of its characters, katakana of the same sound (many were made from the same kanji) and,
    of the kanji, what kana were made from and those of a few strokes.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    if any(in_script(character, "kanji") for character in classes):
        return ()
    known = {look_alike(character) for character in classes}
    sounds = {chr(ord(character) + 0x60) for character in classes if in_script(character, "hiragana")}
    kanji = [chr(code) for code in range(0x4E00, 0x9FA0) if has_strokes(chr(code)) and chr(code) not in JIBO]
    if any(in_script(character, "katakana") for character in classes):
        return tuple(kanji)
    katakana = [chr(code) for code in range(0x30A2, 0x30F4) if has_strokes(chr(code)) and chr(code) not in sounds]
    return tuple(character for character in kanji + katakana if look_alike(character) not in known)


def draw_letters(random: np.random.Generator, size: int, faces: Sequence[Face] | None = None) -> np.ndarray:
    """Return one to three letters of a script, beside or above each other, in white on black.

    Several fill a square as the parts of a kanji do, and as the syllables of Hangul.

    Args:
        random: what decides about them.
        size: height and width in pixels.
        faces: what they are chosen from; None means those of DejaVu.

    Returns:
        float `[size, size]`, 0..1.
    """
    faces = faces or dejavu_faces()
    face = faces[int(random.integers(len(faces)))]
    letters = face.alphabets[random.integers(len(face.alphabets))]
    parts = [letters[random.integers(len(letters))] for _ in range(random.choice([1, 1, 2, 3]))]
    text = random.choice(["", "\n"]).join(parts)
    picture = Image.new("L", (2 * size, 2 * size))
    font = _font(face.file, 2 * size // 3)
    ImageDraw.Draw(picture).text((size, size), text, 255, font, "mm", spacing=-size // 8, align="center")
    cut = picture.crop(picture.getbbox() or (0, 0, size, size))
    ratio = np.clip(cut.width / cut.height, 1 / _MOST_SLENDER, _MOST_SLENDER)
    sides = np.array([min(ratio, 1), min(1 / ratio, 1)]) * 0.9 * size
    whole = ImageOps.pad(cut.resize(sides.astype(int).tolist()), (size, size))
    turned = whole.rotate(random.uniform(-8, 8), Image.Resampling.BILINEAR)  # or two would be the same picture
    return np.asarray(turned, float) / 255


@cache
def _font(file: Path, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, pixels)


def is_foreign(letter: str) -> bool:
    """Return whether a character is a letter of another script that looks like none of the Japanese ones."""
    if unicodedata.category(letter) not in ("Lu", "Ll", "Lo") or _script(letter) not in _SCRIPTS:
        return False
    if _script(letter) == "HANGUL" and not "가" <= letter <= "힣":  # parts of syllables are like 人, 口 or 大
        return False
    return unicodedata.normalize("NFKD", letter)[0] not in _LIKE_KANJI


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]
