"""Random requests for property tests, made from the declarations."""

from __future__ import annotations

from hypothesis import strategies as st

from atelier.base.refs import ImageRef
from atelier.params.field import Declaration
from atelier.params.request import DECLARATIONS, GenerationRequest

LINE = st.text(alphabet="abc ABC,(:1.2)[]<>\"\\äß猫🐈", max_size=20).map(str.strip)
NAME = st.text(alphabet="abcdef +-.", min_size=1, max_size=12).map(str.strip).filter(bool)
IMAGE = st.builds(ImageRef, sha256=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))


def value_of(declaration: Declaration) -> st.SearchStrategy:
    """Any value that the declaration admits."""
    told = declaration.param
    low, high = told.limits
    kind = declaration.kind
    if isinstance(told.choices, tuple):
        values: st.SearchStrategy = st.sampled_from(told.choices)
    elif kind == "bool":
        values = st.booleans()
    elif kind == "int":
        values = st.integers(int(low), int(high))
    elif kind == "float":
        values = st.floats(low, high).map(lambda number: min(max(round(number, 4), low), high))
    elif kind == "list":
        values = st.just(()) if declaration.part == "source" else st.lists(NAME, max_size=3).map(tuple)
    elif kind == "str":
        values = LINE if declaration.part == "prompt" or declaration.name in ("prompt", "negative") else NAME
    else:
        values = st.none()
    return st.none() | values if declaration.optional else values


@st.composite
def requests(draw: st.DrawFn, kind: str | None = None) -> GenerationRequest:
    values = {d.path: draw(value_of(d)) for d in DECLARATIONS if draw(st.booleans())}
    wanted = kind or draw(st.sampled_from(("txt2img", "img2img")))
    if wanted == "img2img":
        values["source.images"] = (draw(IMAGE),)
        values["mask.image"] = draw(st.none() | IMAGE)
    return GenerationRequest().with_values(**values)
