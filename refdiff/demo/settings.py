"""Parameters of the stage that draws the demo.

They are here and not in the folder `demo`: every stage and `refdiff doctor` check all of params.yaml, also where the
package is installed and that folder is not.
"""

from pydantic import Field

from refdiff.params import Section


class DrawSettings(Section):
    """Section `draw_scenes`.

    Attributes:
        folder: Where the dataset is written.
        seed: First scene seed.
        images: Number of scenes.
        sentences_per_image: Sentences of each scene.
    """

    folder: str
    seed: int = Field(ge=0)
    images: int = Field(ge=1)
    sentences_per_image: int = Field(ge=1, le=12)
