"""What a response reports about the limits of this address: weight used, time, refusal. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response that opens the circuit; `seconds` is the wait it names, or None."""

    status: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a response reports about the limits: the address's used weight, its time (UTC ms), and a refusal."""

    used_weight: int | None = None
    date_ms: int | None = None
    refusal: Refusal | None = None
