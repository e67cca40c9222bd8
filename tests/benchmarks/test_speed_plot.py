"""The picture of the speed comparison: well-formed, complete, and nothing drawn from nothing."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.speed_plot import Curve, plot

SVG = "{http://www.w3.org/2000/svg}"


def test_every_curve_has_its_line_its_points_and_its_name() -> None:
    """Names that need escaping are texts, not markup; ours is drawn thicker."""
    curves = [
        Curve(name="ours <b>", points=((1.0, 20.0), (16.0, 8.0), (1000.0, 9.0)), ours=True),
        Curve(name="theirs", points=((1.0, 40.0), (16.0, 30.0)), ours=False),
    ]
    picture = ET.fromstring(plot(curves, x_words="connections", y_words="cost"))
    lines = picture.findall(f"{SVG}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2]
    assert [line.attrib["stroke-width"] for line in lines] == ["3", "1.5"]
    words = [text.text for text in picture.findall(f"{SVG}text")]
    assert {"ours <b>", "theirs", "connections", "cost"} <= set(words)
    assert len(picture.findall(f"{SVG}circle")) == 5


def test_a_higher_value_is_drawn_higher() -> None:
    """SVG counts downwards; a factor of ten is the same distance everywhere on the axis."""
    curve = Curve(name="c", points=((1.0, 1.0), (10.0, 10.0), (100.0, 100.0)), ours=True)
    picture = ET.fromstring(plot([curve], x_words="x", y_words="y"))
    heights = [float(circle.attrib["cy"]) for circle in picture.findall(f"{SVG}circle")]
    assert heights[0] > heights[1] > heights[2]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


@pytest.mark.parametrize("points", [(), ((0.0, 1.0),), ((1.0, 0.0),)])
def test_what_has_no_logarithm_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    """Nothing at all, and zeros."""
    with pytest.raises(ValueError, match="above zero"):
        plot([Curve(name="c", points=points, ours=True)], x_words="x", y_words="y")
