"""Any readable picture gives its ink; anything else gives one sentence."""

import os

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.pictures import LONGEST_SIDE, SUFFIXES, read_image, read_ink


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("paper", ["light", "dark"])
def test_ink_is_found_in_every_kind_of_file(drawing, tmp_path, suffix, paper):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(drawing if paper == "dark" else 255 - drawing).convert("RGB").save(path)
    ink = read_ink(path)
    assert ink.dtype == np.uint8 and ink.shape == drawing.shape
    assert ink[drawing == 255].mean() > 240 and ink[drawing == 0].mean() < 8


def test_pixels_of_a_file_a_pillow_image_and_an_array_give_the_same_ink(drawing, tmp_path):
    Image.fromarray(drawing).save(tmp_path / "picture.png")
    for source in (drawing, Image.fromarray(drawing), tmp_path / "picture.png", str(tmp_path / "picture.png")):
        np.testing.assert_array_equal(read_ink(source), drawing)


def test_what_is_transparent_is_paper(drawing, tmp_path):
    pixels = np.zeros((*drawing.shape, 4), np.uint8)
    pixels[..., 3] = drawing
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(read_ink(tmp_path / "picture.png"), drawing)


def test_a_large_picture_is_shrunk_and_a_turned_one_stands_upright(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(drawing).resize((3000, 4500)).transpose(Image.Transpose.ROTATE_90).save(
        tmp_path / "photo.png", exif=exif
    )
    pixels = read_image(tmp_path / "photo.png")
    assert pixels.shape[0] == LONGEST_SIDE > pixels.shape[1]


def test_a_format_that_would_start_another_program_is_refused(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(UserError, match=r"picture\.png"):
        read_image(path)


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
