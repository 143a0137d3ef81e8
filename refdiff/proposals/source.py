"""The interface of proposal sources: a photo in, its candidate masks out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ImageError
from refdiff.photo_content import read_listed_photo
from refdiff.proposals.candidates import Proposals


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that masks are proposed for; its pixels are read when a source asks for them.

    Attributes:
        image_id: Its id in the dataset.
        height: Pixels, after EXIF orientation.
        width: Pixels.
        path: The file; None when `rgb` is given.
        rgb: uint8 `[height width 3]`; None when it lies in a file.
        sha256: Digest of the file, as the dataset lists it; None when `rgb` is given.
    """

    image_id: str
    height: int
    width: int
    path: Path | None = None
    rgb: NDArray[np.uint8] | None = None
    sha256: str | None = None

    @classmethod
    def of_pixels(cls, rgb: NDArray[np.uint8], image_id: str) -> "Photo":
        """A photo in memory, RGB uint8 `[height width 3]`."""
        return cls(image_id, rgb.shape[0], rgb.shape[1], rgb=rgb)

    def pixels(self) -> NDArray[np.uint8]:
        """RGB uint8 `[height width 3]`.

        Raises:
            ImageError: The file does not decode, its size is another, or it was exchanged.
        """
        if self.rgb is not None:
            return self.rgb
        if self.path is None or self.sha256 is None:
            raise ImageError(f"image {self.image_id}: has neither pixels nor a file with its digest; expected one")
        where = f"{self.path} (image {self.image_id})"
        return read_listed_photo(self.path, where, (self.height, self.width), self.sha256)


class PhotoSource(Protocol):
    """Something that proposes masks for a photo.

    Attributes:
        of_pixels: Whether the photo's pixels alone decide, beside the parameters and `identity`. Such masks are the
            same in every split that has the photo, and are kept for all of them; others are made anew by each run.
    """

    of_pixels: ClassVar[bool]

    def load(self) -> None:
        """Load a model, where there is one: what then fails is no photo's fault. `propose` does it too."""
        ...

    def propose(self, photo: Photo) -> Proposals:
        """Candidate masks of a photo, unfiltered, at the photo's own size; none is an answer."""
        ...

    def identity(self) -> dict[str, Any]:
        """What beside the parameters decides the masks (model, versions, digests), for the provenance."""
        ...
