"""Random numbers for privacy: a cryptographic stream keyed by the operating system.

The coordinator must not be able to predict the noise or the sampled patients, so no seed of a
request has an influence here.
"""

import secrets

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

KEY_BYTES, NONCE_BYTES = 32, 16
UNIT = 2.0**-53
"""Distance of the uniform numbers, which have 53 random bits."""

GAUSSIANS = 4
"""Number of Gaussian samples whose sum is one sample of the noise. The rounding of a single sample
reveals which sums it can come from (Mironov, CCS 2012). For a sum of four, the work to find out is
2^159 (Holohan & Braghin, ESORICS 2021, section 5.1)."""


class RandomStream:
    """A ChaCha20 key stream with a new random key, as numbers."""

    def __init__(self) -> None:
        key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        self._stream = Cipher(ChaCha20(key, nonce), mode=None).encryptor()

    def seed(self) -> int:
        """Return a random seed in [0, 2**63), for generators whose numbers protect nobody."""
        return int(self._integers(1)[0] >> np.uint64(1))

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Return uniform numbers in [0, 1), shape (count,)."""
        return (self._integers(count) >> np.uint64(11)).astype(np.float64) * UNIT

    def sampled(self, count: int, probability: float) -> NDArray[np.bool_]:
        """Return an independent choice for each of `count` units, shape (count,)."""
        return self.uniform(count) < probability

    def normal(self, count: int) -> NDArray[np.float64]:
        """Return Gaussian noise with mean 0 and standard deviation 1, shape (count,)."""
        samples = self._box_muller(GAUSSIANS * count).reshape(GAUSSIANS, count)
        return np.asarray(samples.sum(axis=0) / np.sqrt(GAUSSIANS))

    def _box_muller(self, count: int) -> NDArray[np.float64]:
        """Return Gaussian samples, shape (count,): Box & Muller, Ann. Math. Stat. 1958."""
        pairs = (count + 1) // 2
        radius = np.sqrt(-2 * np.log1p(-self.uniform(pairs)))
        angle = 2 * np.pi * self.uniform(pairs)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def _integers(self, count: int) -> NDArray[np.uint64]:
        return np.frombuffer(self._stream.update(bytes(8 * count)), dtype="<u8")
