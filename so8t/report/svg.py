"""SVG as text: elements with escaped attributes, nothing else."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(name: str, *content: str, **attributes: object) -> Markup:
    """`class_` is class, `stroke_width` stroke-width; a content that is not markup is escaped."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(each) for each in content)
    return Markup(f"<{name}{given}>{inner}</{name}>")


def picture(width: float, height: float, label: str, *content: str, **attributes: object) -> Markup:
    """A picture that scales with its place and says what it shows."""
    box = f"0 0 {_plain(width)} {_plain(height)}"
    given = {"role": "img", **attributes}  # an image hides the links in it: one that has some is a group
    return element("svg", element("title", label), *content, viewBox=box, aria_label=label, **given)


def _plain(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
