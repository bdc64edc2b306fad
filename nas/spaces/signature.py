"""The tensor that flows between blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Signature:
    """What one tensor between two blocks looks like, without its batch dimension.

    `domain` is ``"image"`` (C, H, W), ``"sequence"`` (L, C), ``"series"`` (C, L) or ``"vector"`` (C);
    `channels` counts C; `size` is (H, W) or (L,), empty for a vector.

    >>> Signature("image", 3, (224, 224)).shape
    (3, 224, 224)
    """

    domain: str
    channels: int
    size: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor shape without batch, in the order of the domain."""
        if self.domain == "sequence":
            return (*self.size, self.channels)
        return (self.channels, *self.size)

    def after(self, width: int | None, stride: int) -> Signature:
        """The signature behind a block of this width and stride, padded as "same": sizes round up."""
        size = tuple(-(-extent // stride) for extent in self.size)
        return replace(self, channels=self.channels if width is None else width, size=size)
