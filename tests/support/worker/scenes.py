"""What the tests of the procedural generator share: a plain scene, a change of each parameter, any scene at all."""

from hypothesis import strategies as st

from app.generators.procedural.backgrounds import BACKGROUNDS
from app.generators.procedural.catalogue import CATEGORIES
from app.generators.procedural.scene import ARRANGEMENTS, Scene

PLAIN = Scene(
    category="fish",
    variant=0,
    mirrored=False,
    turn=0.0,
    build=0.5,
    count=3,
    hue=200.0,
    lightness=0.4,
    arrangement="row",
    spread=0.5,
    x=0.5,
    depth=0.5,
    size=0.5,
    background="meadow",
    scenery=0.4,
    background_hue=90.0,
    background_lightness=0.4,
)

# Every parameter of a scene, with another value for it.
CHANGES = {
    "category": "tree",
    "variant": 1,
    "mirrored": True,
    "turn": 0.5,
    "build": 0.8,
    "count": 4,
    "hue": 260.0,
    "lightness": 0.7,
    "arrangement": "arc",
    "spread": 0.9,
    "x": 0.8,
    "depth": 0.8,
    "size": 0.8,
    "background": "city",
    "scenery": 0.8,
    "background_hue": 160.0,
    "background_lightness": 0.9,
}

_share = st.floats(0, 1)
_hue = st.floats(0, 360)

SCENES = st.builds(
    Scene,
    category=st.sampled_from(CATEGORIES),
    variant=st.integers(0, 2),
    mirrored=st.booleans(),
    turn=st.floats(-1, 1),
    build=_share,
    count=st.integers(1, 5),
    hue=_hue,
    lightness=_share,
    arrangement=st.sampled_from(ARRANGEMENTS),
    spread=_share,
    x=_share,
    depth=_share,
    size=_share,
    background=st.sampled_from(tuple(BACKGROUNDS)),
    scenery=_share,
    background_hue=_hue,
    background_lightness=_share,
)
