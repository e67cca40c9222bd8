"""A refused value as a message repeats it: short, on one line, without control characters.

What is refused may come from anywhere and be of any length, and still has to be recognised by whoever wrote it. Pure;
every process may use it (standard library only).
"""

import json

SHOWN_MAX = 60
"""Characters of a refused value that a message repeats; enough to recognise it."""


def shown(value: object) -> str:
    """A refused value as a message shows it, shortened and without control characters."""
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, tuple | dict):
        text = json.dumps(value, default=str)
    else:
        text = str(value)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."
