"""How much of anything a client may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of the server; each has an option of `lucency serve`."""

    megabytes: int = 32
    """Of one request's body, in MiB; a detector's 4280 × 3520 pixels of 16 bits are 29."""
    megapixels: int = 40
    """Of one film, in millions; known from its header and refused before anything is decoded."""
    seconds: float = 30.0
    """For the body to arrive, and again for one film to be read: then its process is stopped."""
    queue: int = 64
    """Requests that wait while all processes read; one more is answered 503."""
    batch: int = 32
    """Films in one request to /v1/batch."""

    @property
    def most_bytes(self) -> int:
        """Of one request's body."""
        return self.megabytes * 2**20

    @property
    def most_pixels(self) -> int:
        """Of one film."""
        return self.megapixels * 10**6

    @property
    def patience_s(self) -> float:
        """From the queue to the answer, for one film."""
        return 2 * self.seconds
