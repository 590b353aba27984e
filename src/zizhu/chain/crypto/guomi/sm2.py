"""The SM2 signature scheme with SM3 and Z_A (GB/T 32918.2), over the best rung this machine has.

Decides formats, caching and the rung. Refuses to compute on the curve: the rungs do.

Public keys are 33 bytes (02/03 ‖ x), signatures 64 (r ‖ s), secrets 32 in 1..n-2. SM2 has one form per signature:
unlike ECDSA, (r, n-s) does not verify.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

from zizhu.chain.crypto.domain_hash import HashState
from zizhu.chain.crypto.guomi.curve import PUBLIC_KEY_BYTES, SM2, Point, decompress, identity_state, well_formed
from zizhu.chain.crypto.guomi.integers import Integers
from zizhu.chain.crypto.guomi.libcrypto import Libcrypto, open_libcrypto
from zizhu.chain.crypto.port import Signed
from zizhu.chain.crypto.secret import checked_secret, draw_secret
from zizhu.chain.model.errors import OperatingFault


class PreparedKey(Protocol):
    """A public key parsed by a rung."""

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Whether the well-formed `signature` signs e = `digest`."""
        ...


class Rung(Protocol):
    """One way to verify."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def keys_max(self) -> int:
        """How many prepared keys are worth their memory."""
        ...

    def prepare(self, point: Point) -> PreparedKey:
        """`point`, which lies on the curve, ready to verify with."""
        ...


class _Key(NamedTuple):
    """A parsed public key: the SM3 state behind its Z_A, and the rung's form of it."""

    identity: HashState
    prepared: PreparedKey


class Sm2:
    """SM2 with SM3. The rung is chosen at the first use, so importing costs nothing."""

    name = "SM2-SM3"
    public_key_bytes = PUBLIC_KEY_BYTES

    def __init__(
        self,
        *,
        open_signer: Callable[[], Libcrypto] = open_libcrypto,
        choose: Callable[[], Rung] | None = None,
    ) -> None:
        self._open_signer = open_signer
        self._choose = choose if choose is not None else self._best

    @property
    def rung(self) -> str:
        """How this process verifies: "libcrypto" or "integers"."""
        return self._rung.name

    def generate(self) -> bytes:
        """A fresh secret in 1..n-2, 32 bytes, from the operating system's generator."""
        return draw_secret(below=SM2.n - 1)

    def public_key(self, secret: bytes) -> bytes:
        """33 bytes; raises AskedWrongly (`crypto.secret_key`), or OperatingFault (`crypto.libcrypto`)."""
        checked_secret(secret, scheme=self.name, below=SM2.n - 1)
        return self._signer.public_key(secret)

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """64 bytes r ‖ s; raises AskedWrongly (`crypto.secret_key`), or OperatingFault (`crypto.libcrypto`)."""
        checked_secret(secret, scheme=self.name, below=SM2.n - 1)
        state = self._own_identity(secret).copy()
        state.update(message)
        return self._signer.sign(secret, state.digest())

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is good; never raises."""
        if not well_formed(signature):
            return False
        key = self._key(public_key)
        if key is None:
            return False
        state = key.identity.copy()
        state.update(message)
        return key.prepared.verify(state.digest(), signature)

    def verify_many(self, batch: Sequence[Signed]) -> list[bool]:
        """One verdict an item, in order; never raises."""
        verify = self.verify
        return [verify(public_key, message, signature) for public_key, message, signature in batch]

    def _best(self) -> Rung:
        try:
            return self._signer
        except OperatingFault:
            # A member that only follows can do without libcrypto; whoever signs gets the fault and its fix.
            return Integers()

    @cached_property
    def _signer(self) -> Libcrypto:
        return self._open_signer()

    @cached_property
    def _rung(self) -> Rung:
        return self._choose()

    @cached_property
    def _key(self) -> Callable[[bytes], _Key | None]:
        rung = self._rung

        def parse(public_key: bytes) -> _Key | None:
            point = decompress(public_key)
            return None if point is None else _Key(identity_state(point), rung.prepare(point))

        return lru_cache(maxsize=rung.keys_max)(parse)

    @cached_property
    def _own_identity(self) -> Callable[[bytes], HashState]:
        def identity(secret: bytes) -> HashState:
            point = decompress(self._signer.public_key(secret))
            assert point is not None, "our own public key is off the curve"
            return identity_state(point)

        return lru_cache(maxsize=16)(identity)
