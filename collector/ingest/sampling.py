"""Which mark price frames are stored. Pure: the frame's own times decide, so that two collectors agree."""

from exchange.events import MarkPrice

MARK_SLOT_MS = 10_000
FUNDING_SLOT_MS = 60_000


class Sampler:
    """Picks the first mark price of each 10 s slot and the first funding rate of each minute or new period."""

    def __init__(self) -> None:
        self._mark_slot: dict[str, int] = {}
        self._funding_slot: dict[str, tuple[int, int]] = {}

    def takes_mark(self, event: MarkPrice) -> bool:
        """True for the first frame of its 10 s slot of exchange time; frames of earlier slots never count."""
        slot = event.event_time_ms // MARK_SLOT_MS
        if slot <= self._mark_slot.get(event.pair, -1):
            return False
        self._mark_slot[event.pair] = slot
        return True

    def takes_funding(self, event: MarkPrice) -> bool:
        """True for the first frame of its minute and for the first one after the next funding time changed.

        A contract without a next funding time (``T`` is 0: delisted) has no rate to store.
        """
        if event.next_funding_time_ms == 0:
            return False
        slot = event.event_time_ms // FUNDING_SLOT_MS
        last_slot, last_time_ms = self._funding_slot.get(event.pair, (-1, 0))
        if slot < last_slot or (slot == last_slot and event.next_funding_time_ms == last_time_ms):
            return False
        self._funding_slot[event.pair] = (slot, event.next_funding_time_ms)
        return True
