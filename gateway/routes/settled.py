"""Where a settlement may be missing among those in a store, judging by past settlements and by frames. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from exchange.settlements import HOUR_MS, INTERVALS_HOURS, Stretch, doubtful, slot_ms, unanswered


@dataclass(frozen=True, slots=True)
class Frames:
    """What mark price frames reveal about a symbol, as full hours in UTC ms; None: nothing.

    `next_ms` is the next settlement according to the newest frame. `settled_ms` is the newest one, if there were frames
    before and after it: then nothing has settled since.
    """

    next_ms: int | None = None
    settled_ms: int | None = None


def wants_interval(times: Iterable[int], frames: Frames, first_ms: int, last_ms: int) -> bool:
    """Whether there can be a settlement from `first_ms` to `last_ms` that neither the store nor a frame shows.

    If so, fundingInfo has to be asked for the current interval. `times` is what the store has.
    """
    newest_ms = max(slot_ms(max(times, default=0)), frames.settled_ms or 0, first_ms - HOUR_MS)
    if frames.next_ms is None or frames.next_ms <= last_ms:
        return last_ms - newest_ms >= HOUR_MS
    if frames.settled_ms is not None:
        return False
    return any(newest_ms < frames.next_ms - hours * HOUR_MS <= last_ms for hours in INTERVALS_HOURS)


def lacking(
    times: Sequence[int],
    frames: Frames,
    *,
    interval_hours: int | None,
    listed_ms: int,
    first_ms: int,
    last_ms: int,
    unsettled: Collection[int] = (),
) -> list[Stretch]:
    """Return where from `first_ms` to `last_ms`, inclusive, a settlement may be missing; empty if it is complete.

    `times` is what the store has there and around it, `interval_hours` the current interval in fundingInfo (None if not
    listed, or unknown), `unsettled` the slots for which the exchange has none.
    """
    newest_ms = slot_ms(max(times, default=0))
    due_ms = [at for at in (frames.settled_ms, frames.next_ms) if at is not None and newest_ms < at <= last_ms]
    if frames.settled_ms is not None and frames.next_ms is not None and frames.next_ms > last_ms:
        last_ms = min(last_ms, max(frames.settled_ms, newest_ms))
    found = [Stretch(at, at, frozenset((at,))) for at in due_ms if at >= first_ms]
    found += doubtful(
        [*times, *due_ms], interval_hours=interval_hours, listed_ms=listed_ms, first_ms=first_ms, last_ms=last_ms
    )
    return unanswered(found, unsettled)
