"""The few SVG elements that the report's picture is made of, with presentation attributes only.

A strict content security policy strips style attributes; these survive it. Coordinates are pixels of the view box, with
one decimal, so that the same night gives the same bytes. Pure; charts uses it.
"""

from html import escape

# Okabe and Ito's colours that keep 3:1 on white and on the dark page alike, and a grey that does.
BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676"
INK = "#3d3d3d"
"""Text on white; the page's style sheet replaces it on the dark page."""


def rect(x: float, y: float, width: float, height: float, colour: str, *, opacity: float = 1.0) -> str:
    """A filled rectangle."""
    faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}" fill="{colour}"{faint}/>'


def line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    colour: str,
    *,
    width: float = 1.0,
    opacity: float = 1.0,
    dashes: str = "",
) -> str:
    """A straight stroke."""
    faint = f' stroke-opacity="{opacity:g}"' if opacity < 1 else ""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"{faint}{dashed}/>'


def label(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    weight: str = "400",
    size: float = 11,
    opacity: float = 1.0,
) -> str:
    """One line of text, escaped here."""
    faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size:g}" '
        f'fill="{INK}"{faint}>{escape(words)}</text>'
    )
