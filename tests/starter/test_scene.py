"""The composer and its annotations, on drawn shapes."""

import numpy as np
import pytest
from PIL import Image

from starter.annotations import annotate
from starter.concepts import COLOURS, SHAPES
from starter.figures import FIGURES, joints_of
from starter.measures import background_rgb, components, filled_places, foreground, nearest_colour, object_rgb
from starter.scene import Composer, Item, Scene, corner, tint
from starter.world import LAYOUTS, MANY_SIZE


@pytest.fixture
def composer() -> Composer:
    return Composer(None)  # shapes need no sprites


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_has_its_colour_and_background(composer, shape):
    picture = composer.draw(Scene("objects", "blue", (Item(shape, "red", size=0.66),)))
    assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
    assert nearest_colour(object_rgb(picture)) == "red"
    assert nearest_colour(background_rgb(picture)) == "blue"


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_things_are_counted(composer, number):
    places = [(0.5, 0.5)] if number == 1 else LAYOUTS[number][0]
    items = tuple(Item("star", "purple", x, y, 0.84 if number == 1 else MANY_SIZE) for x, y in places)
    picture = composer.draw(Scene("counts", "white", items))
    assert filled_places(picture) == number
    assert components(foreground(picture)) == number


def test_annotations_fit_the_picture(composer):
    scene = Scene(
        "pairs", "white", (Item("square", "black", 0.27, 0.5, MANY_SIZE), Item("circle", "green", 0.73, 0.5, MANY_SIZE))
    )
    notes = annotate(composer, scene)
    left, right = notes.boxes
    assert left[2] <= right[0] and notes.names == ("square", "circle")
    for box, mask in zip(notes.boxes, notes.masks):
        assert mask[(box[1] + box[3]) // 2, (box[0] + box[2]) // 2] == 255
    assert notes.depth[128, 70] > 150 > notes.depth[5, 128]
    assert notes.depth[128, 186] > notes.depth[128, 70]
    edge = np.argwhere(notes.canny[:, :128])
    assert abs(edge[:, 1].min() - left[0]) <= 3 and abs(edge[:, 0].max() - left[3]) <= 3
    assert not notes.canny[100:150, 60:80].any() and notes.scribble.any()


@pytest.mark.parametrize("name", FIGURES)
def test_the_pose_of_a_figure_lies_on_its_drawing(composer, name):
    scene = Scene(
        "figures", "white", (Item(name, "red", 0.27, 0.5, MANY_SIZE), Item("star", "blue", 0.73, 0.5, MANY_SIZE))
    )
    notes = annotate(composer, scene)
    drawn = notes.pose.any(-1)
    assert drawn.sum() > 200
    assert (notes.masks[0][drawn] == 255).mean() > 0.97
    left, top = corner(scene.items[0], 256)
    x, y = joints_of(name)["left wrist"]
    shown = notes.pose[round(top + y * MANY_SIZE * 256), round(left + x * MANY_SIZE * 256)]
    assert shown.tolist() == [0, 255, 85]  # OpenPose's eighth colour


def test_a_hidden_item_keeps_only_what_is_seen(composer):
    scene = Scene("pairs", "white", (Item("square", "red", size=0.6), Item("circle", "blue", size=0.4)))
    back, front = annotate(composer, scene).masks
    assert front[128, 128] == 255 and back[128, 128] == 0


def test_tint_keeps_the_outline_and_takes_the_colour():
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[8:24, 8:24] = (200, 180, 40, 255)
    pixels[8:16, 8:24, :3] //= 2
    tinted = np.asarray(tint(Image.fromarray(pixels), COLOURS["blue"]))
    assert (tinted[..., 3] == pixels[..., 3]).all()
    assert tinted[20, 12, 2] > tinted[20, 12, 0]
