"""Digests of files, by the algorithms that the evidence contract knows, in one pass and in small pieces.

Decides how a file of any length becomes 32 bytes. Refuses to know which algorithm a type has agreed on.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from zizhu.chain.crypto.guomi.sm3 import start_sm3

CHUNK_BYTES = 1024 * 1024
DIGEST_BYTES = 32
ALGORITHMS = ("sm3", "sha256")
"""SM3 (GB/T 32905) and SHA-256 (FIPS 180-4), each the plain standard hash: `sha256sum` gives the same."""


class Digester:
    """Takes in the bytes of one file and gives its digest by each of `algorithms`."""

    def __init__(self, algorithms: Iterable[str] = ALGORITHMS) -> None:
        self._states = {name: start_sm3() if name == "sm3" else hashlib.new(name) for name in algorithms}
        self.length = 0

    def update(self, data: bytes) -> None:
        """The next bytes of the file."""
        for state in self._states.values():
            state.update(data)
        self.length += len(data)

    def digests(self) -> dict[str, bytes]:
        """The digest by each algorithm of what was taken in."""
        return {name: state.digest() for name, state in self._states.items()}


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The rest of a stream, in pieces."""
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def digest_stream(
    stream: BinaryIO, algorithms: Iterable[str] = ALGORITHMS, *, progress: Callable[[int], None] = lambda _: None
) -> dict[str, bytes]:
    """The digests of the rest of `stream`; `progress` is told the bytes of each piece. Raises OSError as the stream."""
    digester = Digester(algorithms)
    for chunk in chunks(stream):
        digester.update(chunk)
        progress(len(chunk))
    return digester.digests()
