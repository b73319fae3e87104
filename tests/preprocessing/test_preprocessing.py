import io
import json

import numpy as np
import pytest
from PIL import Image

from keras_similarity.preprocessing import Preprocessing

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)


def png(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png", **options)
    return file.getvalue()


def test_values_are_spread_linearly_over_the_range():
    levels = np.arange(256, dtype="uint8").reshape(16, 16)
    array = Preprocessing((16, 16), 1, value_range=(-1, 3)).from_array(levels)
    assert array.dtype == np.float32
    assert array.shape == (16, 16, 1)
    expected = -1 + 4 * np.arange(256, dtype="float64").reshape(16, 16, 1) / 255
    np.testing.assert_allclose(array, expected, atol=3e-7)
    assert (array.min(), array.max()) == (-1, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["fit", "crop", "stretch"])
@pytest.mark.parametrize("size", [(8, 6), (20, 33)], ids=["same size", "resized"])
@pytest.mark.parametrize("depth", [1, 3, 4])
def test_a_file_gives_what_its_array_gave(channels, resize, size, depth):
    pictures = RNG.integers(0, 256, (2, *size, depth), dtype="uint8")
    preprocessing = Preprocessing((8, 6), channels, resize, background=30)
    batch = preprocessing.from_array(pictures)
    assert batch.shape == (2, 8, 6, channels)
    for picture, expected in zip(pictures, batch, strict=True):
        content = png(picture[..., 0] if depth == 1 else picture)
        np.testing.assert_array_equal(preprocessing.from_file(content), expected)
        np.testing.assert_array_equal(preprocessing.from_array(picture), expected)


def test_grey_becomes_three_equal_channels_and_colours_become_grey():
    grey = RNG.integers(0, 256, (4, 4), dtype="uint8")
    in_colour = Preprocessing((4, 4), 3).from_array(grey)
    for channel in range(3):
        np.testing.assert_allclose(in_colour[..., channel], grey / 255, atol=1e-6)
    green = np.zeros((4, 4, 3), "uint8")
    green[..., 1] = 255
    # The weight of green in ITU-R 601.
    np.testing.assert_allclose(
        Preprocessing((4, 4), 1).from_array(green), 0.587, atol=0.002
    )


@pytest.mark.parametrize("background", [0, 102])
def test_fit_shows_all_and_fills_the_rest(background):
    wide = np.full((4, 8, 3), 255, "uint8")
    array = Preprocessing((8, 8), background=background).from_array(wide)
    np.testing.assert_allclose(array[2:6], 1.0)
    np.testing.assert_allclose(array[[0, 1, 6, 7]], background / 255)


def test_crop_cuts_both_sides_and_stretch_keeps_them():
    wide = np.zeros((4, 8), "uint8")
    wide[:, :2] = 255
    crop = Preprocessing((4, 4), 1, "crop").from_array(wide)
    np.testing.assert_allclose(crop, 0.0)
    stretched = Preprocessing((4, 4), 1, "stretch").from_array(wide)
    assert stretched[:, 0].min() > 0.8
    np.testing.assert_allclose(stretched[:, 3], 0.0)


@pytest.mark.parametrize("background", [0, 255])
def test_the_background_shows_where_a_picture_is_transparent(background):
    pixels = np.full((4, 4, 4), 100, "uint8")
    pixels[..., 3] = 0
    pixels[0, 0, 3] = 255
    array = Preprocessing((4, 4), 1, background=background).from_array(pixels)
    assert array[0, 0, 0] == pytest.approx(100 / 255)
    np.testing.assert_allclose(array[1:], background / 255)


def test_a_palette_with_a_transparent_colour():
    picture = Image.new("P", (2, 2), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 0)
    file = io.BytesIO()
    picture.save(file, "png", transparency=0)
    array = Preprocessing((2, 2), background=255).from_file(file.getvalue())
    np.testing.assert_allclose(array[0, 0], [1, 1, 1])
    np.testing.assert_allclose(array[1, 1], [0, 0, 1])


def test_16_bits_are_scaled_not_cut_off():
    levels = np.array([[0, 257 * 100], [257 * 200, 65535]], "uint16")
    array = Preprocessing((2, 2), 1).from_file(png(levels))
    expected = np.array([[0, 100], [200, 255]]) / 255
    np.testing.assert_allclose(array[..., 0], expected, atol=1e-6)


def test_the_orientation_of_a_camera_is_undone():
    upright = RNG.integers(0, 256, (4, 4), dtype="uint8")
    exif = Image.Exif()
    exif[0x0112] = 6  # Rotate by 90 degrees clockwise to see it upright.
    content = png(np.rot90(upright).copy(), exif=exif)
    preprocessing = Preprocessing((4, 4), 1)
    np.testing.assert_array_equal(
        preprocessing.from_file(content), preprocessing.from_array(upright)
    )


def test_a_file_may_be_a_path_or_open(tmp_path):
    content = png(RNG.integers(0, 256, (4, 4), dtype="uint8"))
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    preprocessing = Preprocessing((4, 4))
    expected = preprocessing.from_file(content)
    for source in (path, str(path), io.BytesIO(content)):
        np.testing.assert_array_equal(preprocessing.from_file(source), expected)


def test_to_pixels_undoes_from_array():
    pictures = RNG.integers(0, 256, (3, 4, 4, 1), dtype="uint8")
    preprocessing = Preprocessing((4, 4), 1, value_range=(-1, 1))
    pixels = preprocessing.to_pixels(preprocessing.from_array(pictures))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, pictures)
    np.testing.assert_array_equal(preprocessing.to_pixels([-9.0, 9.0]), [0, 255])


def test_config_goes_through_json():
    preprocessing = Preprocessing((5, 7), 1, "crop", (-1, 1), 17)
    config = json.loads(json.dumps(preprocessing.get_config()))
    again = Preprocessing.from_config(config)
    assert again == preprocessing
    assert again.shape == (5, 7, 1)
    assert again != Preprocessing((5, 7), 1, "crop", (-1, 1), 18)
    picture = RNG.integers(0, 256, (9, 9, 3), dtype="uint8")
    np.testing.assert_array_equal(
        again.from_array(picture), preprocessing.from_array(picture)
    )


@pytest.mark.parametrize(
    "content", [b"", b"no picture", png(np.eye(64).astype("u1"))[:70]]
)
def test_what_is_no_picture_is_named(content, tmp_path):
    path = tmp_path / "holiday.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Not a picture that can be read: .*holiday"):
        Preprocessing().from_file(path)
    with pytest.raises(ValueError, match="the bytes given"):
        Preprocessing().from_file(content)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        Preprocessing().from_file(tmp_path / "gone.png")


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (2, 2, 4, 4, 3), (0, 4, 3)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"pictures\.shape="):
        Preprocessing((4, 4)).from_array(np.zeros(shape, "uint8"))


def test_floats_are_refused():
    with pytest.raises(TypeError, match="`pictures` must be uint8"):
        Preprocessing((4, 4)).from_array(np.zeros((4, 4, 3)))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("image_size", 32),
        ("image_size", (32, 0)),
        ("image_size", (32, 32, 3)),
        ("channels", 4),
        ("resize", "pad"),
        ("value_range", (1, 0)),
        ("background", 256),
    ],
)
def test_a_wrong_argument_is_named(argument, value):
    with pytest.raises(
        ValueError, match=rf"`{argument}` must be .*Received: {argument}="
    ):
        Preprocessing(**{argument: value})
