"""What a request to an export may hold at most, unless the export says otherwise."""

import dataclasses
import math

MAX_ROWS = 500  # tasks, support rows and query rows
MAX_IMAGE_PIXELS = 4_000_000  # of an image file
# Of the images that a model takes, in all tasks of a request together: some GB of memory in a Conv-4, seconds of work.
_MAX_PIXELS = 4_000_000
# That states keep of support rows, in all tasks together. A Meta Network needs 44 times as much memory to adapt.
_MAX_KEPT_NUMBERS = 1 << 23
_FEWEST_IMAGES = 100


@dataclasses.dataclass(frozen=True)
class Limits:
    """The most of each thing that one request may hold.

    Attributes:
        rows: tasks, support rows of a task, and query rows of a task.
        support_images, query_images: rows of all tasks together, padded ones too.
        image_pixels: of an image file.
    """

    rows: int
    support_images: int
    query_images: int
    image_pixels: int

    @classmethod
    def of(cls, model, kept_per_row=0, max_rows=MAX_ROWS, max_images=None, max_image_pixels=MAX_IMAGE_PIXELS):
        """The limits of a model.

        Args:
            model: a FewShotModel with a fixed `way`.
            kept_per_row: numbers that a task state keeps of each support row.
            max_rows, max_image_pixels: as chosen.
            max_images: of all tasks together, as chosen; so many as have 4 million pixels when None.

        Raises:
            ValueError: for fewer than the export itself asks.
        """
        floor = max(_FEWEST_IMAGES, 10 * model.way)
        fewest_rows, fewest_images = max(model.way, 8), max(6 * model.way, 21)  # what an export is verified with
        images = (
            max(floor, _MAX_PIXELS // math.prod(model.input_shape[:-1] or (1,))) if max_images is None else max_images
        )
        if max_rows < fewest_rows or images < fewest_images or max_image_pixels < 1:
            raise ValueError(
                f"`max_rows` must be at least {fewest_rows}, `max_images` at least {fewest_images} and `max_image_pixels` at "
                f"least 1. Received: max_rows={max_rows}, max_images={max_images}, max_image_pixels={max_image_pixels}"
            )
        kept = max(floor, _MAX_KEPT_NUMBERS // max(kept_per_row, 1))
        return cls(max_rows, min(images, kept), images, max_image_pixels)

    @property
    def rows_of_a_task(self):
        """(support rows, query rows) that a task can have, alone in its request."""
        return min(self.rows, self.support_images), min(self.rows, self.query_images)

    def most_tasks(self, support_rows, query_rows):
        """How many tasks of so many rows a server may merge."""
        return min(self.rows, self.support_images // support_rows, self.query_images // query_rows)


def image_pixels_of(sidecar):
    """The most pixels of an image file that the export of a sidecar decodes, where it says so."""
    limits = sidecar.get("limits")
    pixels = limits.get("image_pixels") if isinstance(limits, dict) else None
    return pixels if type(pixels) is int and pixels >= 1 else MAX_IMAGE_PIXELS
