"""Any readable picture gives its ink; anything else gives one sentence."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.pictures import LONGEST_SIDE, SUFFIXES, read_gray, read_ink, to_ink


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("paper", ["light", "dark"])
def test_ink_is_found_in_every_kind_of_file_and_its_margin_cut(drawing, tmp_path, suffix, paper):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(drawing if paper == "dark" else 255 - drawing).convert("RGB").save(path)
    ink, expected = read_ink(path), drawing[10:50, 8:32]
    assert ink.dtype == np.uint8 and ink.shape == expected.shape
    assert ink[expected == 255].mean() > 240 and ink[expected == 0].mean() < 8


def test_pixels_of_a_file_a_pillow_image_and_an_array_give_the_same_ink(drawing, tmp_path):
    Image.fromarray(drawing).save(tmp_path / "picture.png")
    for source in (drawing, Image.fromarray(drawing), tmp_path / "picture.png", str(tmp_path / "picture.png")):
        np.testing.assert_array_equal(read_ink(source), drawing[10:50, 8:32])


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("polarity", ["auto", "dark", "light"])
def test_where_something_is_transparent_the_opaque_is_ink_whatever_its_color(drawing, level, polarity):
    pixels = np.full((*drawing.shape, 4), level, np.uint8)
    pixels[..., 3] = drawing
    np.testing.assert_array_equal(read_ink(pixels, polarity), drawing[10:50, 8:32])


def test_a_palette_with_a_transparent_color_is_read_by_what_is_opaque(drawing, tmp_path):
    palette = Image.fromarray((drawing > 0).astype(np.uint8), "P")
    palette.putpalette([255, 255, 255, 250, 250, 250])
    palette.save(tmp_path / "picture.png", transparency=0)
    np.testing.assert_array_equal(read_ink(tmp_path / "picture.png"), drawing[10:50, 8:32])


def test_round_corners_are_no_ink(drawing):
    pixels = np.repeat(255 - drawing[..., np.newaxis], 4, axis=2)
    pixels[..., 3] = 255
    pixels[:3, :3, 3] = pixels[-3:, -3:, 3] = 0
    np.testing.assert_array_equal(read_ink(pixels), drawing[10:50, 8:32])


def test_an_image_that_is_transparent_all_over_has_no_ink(drawing):
    with pytest.raises(UserError, match="no ink"):
        read_ink(np.zeros((20, 20, 4), np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_judged_before_they_are_stretched(drawing, tmp_path, suffix):
    grain = np.random.default_rng(0).integers(-40, 40, drawing.shape)
    Image.fromarray((60_000 + grain).astype(np.uint16)).save(tmp_path / f"blank{suffix}")
    with pytest.raises(UserError, match="no ink"):
        read_ink(tmp_path / f"blank{suffix}")
    Image.fromarray((60_000 + grain - drawing * 200.0).astype(np.uint16)).save(tmp_path / f"ink{suffix}")
    ink = read_ink(tmp_path / f"ink{suffix}")
    assert ink.shape == (40, 24) and ink[drawing[10:50, 8:32] == 255].mean() > 240


def test_a_turned_photo_stands_upright(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.fromarray(255 - drawing).resize((800, 1200)).transpose(Image.Transpose.ROTATE_90)
    for suffix in (".jpg", ".png", ".tif"):
        photo.save(tmp_path / f"photo{suffix}", exif=exif, compression="tiff_lzw")
        ink = read_ink(tmp_path / f"photo{suffix}")
        assert LONGEST_SIDE > ink.shape[0] > 1.5 * ink.shape[1]
        assert ink[: len(ink) // 2].sum() > 1.3 * ink[len(ink) // 2 :].sum()


def test_a_picture_that_is_given_keeps_its_size(drawing, tmp_path):
    Image.fromarray(255 - drawing).resize((800, 1200)).save(tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as photo:
        read_ink(photo)
        assert photo.size == (800, 1200)


def test_gray_levels_are_read_as_they_are(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (70, 300), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "levels.png")
    np.testing.assert_array_equal(read_gray(tmp_path / "levels.png"), levels)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros((4,), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(UserError, match="uint8"):
        to_ink(image)


def test_an_unknown_polarity_is_refused():
    with pytest.raises(UserError, match="auto, dark or light"):
        to_ink(np.zeros((4, 4), np.uint8), "black")


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2), (3, 3)])
def test_pictures_of_hardly_any_pixels_are_read_or_blank(shape):
    for seed in range(3):
        picture = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        assert to_ink(picture).dtype == np.uint8
    assert not to_ink(np.zeros(shape, np.uint8)).any()


def test_a_format_that_would_start_another_program_is_refused(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(UserError, match=r"picture\.png"):
        read_ink(path)


def test_blank_paper_missing_files_folders_and_pipes_are_told_apart(tmp_path):
    Image.new("RGB", (30, 30), "white").save(tmp_path / "blank.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    for name, kind, message in (
        ("absent.png", MissingFileError, r"absent\.png"),
        ("broken.png", MissingFileError, r"broken\.png"),
        ("blank.png", UserError, r"blank\.png .*no ink"),
        ("", UserError, "folder"),
        ("pipe.png", UserError, "pipe"),
    ):
        with pytest.raises(kind, match=message):
            read_ink(tmp_path / name)


def _jpeg_of_scans(count: int) -> bytes:
    """Return a JPEG picture whose last scan, of a few bytes, is there again and again."""
    image = Image.new("L", (900, 900), 255)
    image.paste(0, (300, 100, 400, 800))
    image.save(stream := io.BytesIO(), "JPEG", progressive=True)
    content = stream.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + content[-2:]


def test_a_jpeg_picture_of_a_thousand_scans_is_not_decoded(tmp_path):
    """Each costs as much as a whole picture: 4 MB of them would take a quarter of an hour."""
    path = tmp_path / "picture.jpg"
    path.write_bytes(_jpeg_of_scans(0))
    assert read_ink(path).any()
    path.write_bytes(_jpeg_of_scans(1000))
    for read in (read_ink, read_gray, lambda path: to_ink(Image.open(path))):
        with pytest.raises(UserError, match="scans"):
            read(path)
