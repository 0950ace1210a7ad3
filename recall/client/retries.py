"""How often a call that no server could take is made again, and after which pauses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from recall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Pauses that double, each shortened by up to a half at random, so that clients do not come back all at once.

    Attributes:
        attempts: Most attempts of one call, the first one counted; 1 turns retries off.
        first_seconds: Longest first pause.
        most_seconds: Longest pause of all.
    """

    attempts: int = 5
    first_seconds: float = 0.1
    most_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Refuses what is no number of attempts or no pause.

        Raises:
            ConfigError: A value is out of range.
        """
        if self.attempts < 1:
            raise ConfigError(f"attempts of the retry policy is {self.attempts}; want at least 1, which never retries")
        if not 0 <= self.first_seconds <= self.most_seconds:
            pauses = f"first_seconds {self.first_seconds:g} and most_seconds {self.most_seconds:g}"
            raise ConfigError(f"the retry policy has {pauses}; want 0 <= first_seconds <= most_seconds")

    def pauses(self, random: Random) -> Iterator[float]:
        """Yields the pause before each further attempt, in seconds."""
        longest = self.first_seconds
        for _ in range(self.attempts - 1):
            yield longest * random.uniform(0.5, 1.0)
            longest = min(2 * longest, self.most_seconds)
