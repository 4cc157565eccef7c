"""The demo's output: a live screen on a terminal; elsewhere a line per component, and the state every 10 s."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from tools.demo.screen import plain_line, render
from tools.demo.view import View

SCREEN_EVERY_SECONDS = 0.5
LINE_EVERY_SECONDS = 10.0


class Display:
    """The screen, or lines; lines for the end are held back until the screen is gone."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # rich's own detection takes a CI log for a terminal if FORCE_COLOR is set.
        self._screen = console.file.isatty() and not console.is_dumb_terminal
        self._live: Live | None = None
        self._last: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        for line in self._last:
            self._print(line)

    @property
    def every_seconds(self) -> float:
        """How often to call `show`."""
        return SCREEN_EVERY_SECONDS if self._screen else LINE_EVERY_SECONDS

    def say(self, line: str) -> None:
        """Print a line if there is no screen, which shows the same."""
        if not self._screen:
            self._print(line)

    def say_at_end(self, line: str) -> None:
        """Keep a line until the screen is gone."""
        self._last.append(line)

    def show(self, view: View) -> None:
        """Update the screen or the log."""
        now = time.monotonic()
        if not self._screen:
            self.say(plain_line(view, now))
            return
        if self._live is None:
            # The alternate screen, so that the previous content comes back at the end.
            self._live = Live(console=self._console, screen=True, auto_refresh=False)
            self._live.start()
        width, height = self._console.size
        self._live.update(render(view, width, height, now), refresh=True)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
