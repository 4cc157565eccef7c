"""Where a settlement may be missing among those that a store has, by what settled and what frames tell. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from exchange.settlements import HOUR_MS, INTERVALS_HOURS, Stretch, doubtful, slot_ms, unanswered


@dataclass(frozen=True, slots=True)
class Frames:
    """What mark price frames tell of a symbol, full hours in UTC ms; None: they do not.

    `next_ms` is the next settlement as of the newest frame. `settled_ms` is the newest one, if frames before and after
    it came: then nothing has settled since.
    """

    next_ms: int | None = None
    settled_ms: int | None = None


def wants_interval(times: Iterable[int], frames: Frames, first_ms: int, last_ms: int) -> bool:
    """Whether from `first_ms` to `last_ms` something can have settled of which neither the store nor a frame tells.

    Then fundingInfo has to be asked for the present interval. `times` is what the store has.
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
    """Return where from `first_ms` to `last_ms`, inclusive, a settlement may be missing; nothing: it is complete.

    `times` is what the store has there and around it, `interval_hours` the present interval by fundingInfo (None: not
    listed, or not known), `unsettled` the slots at which the exchange has none.
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
