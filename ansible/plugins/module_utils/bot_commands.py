"""Whether one more file of configuration, given at the end of a service's command, reaches freqtrade. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

PLACE = "{config}"
"""Where the name of the file belongs in a `command` of feeder_bots."""

SHELLS = ("sh", "ash", "bash", "dash", "fish", "ksh", "mksh", "zsh")
ELSEWHERE = ("docker", "nerdctl", "podman", "ssh")
"""What runs freqtrade where a path of this host means something else."""

_WITH_VALUE = ("-o", "+o", "-O", "+O", "--rcfile", "--init-file")
_TRADE = re.compile(r"\bfreqtrade\s+trade\b[^|;&<>\n]*")
_OWN_CONFIG = re.compile(r"(?<!\S)(?:--config|-c)[ =]+[^\s\"']+")


def words(command: str) -> list[str]:
    """The words of an ExecStart, without systemd's prefixes; none if its quotes do not close."""
    try:
        return shlex.split(command.lstrip("@-:+!|"))
    except ValueError:
        return []


def script(argv: Sequence[str]) -> str | None:
    """The text that a shell among these words interprets (`bash -c TEXT`); words after it are not the program's."""
    for place, word in enumerate(argv):
        if _name(word).lstrip("-") in SHELLS and (text := _interpreted(argv[place + 1 :])) is not None:
            return text
    return None


def configs(argv: Sequence[str]) -> list[str]:
    """What these words give as --config, in order."""
    found = []
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        if word in ("-c", "--config"):
            found.append(following)
        elif word.startswith("--config="):
            found.append(word.removeprefix("--config="))
        elif word.startswith("-c") and not word.startswith("--"):
            found.append(word.removeprefix("-c").removeprefix("="))
    return found


def trading(argv: Sequence[str]) -> list[str]:
    """The words from `freqtrade trade` on, if these words start it themselves; else none."""
    for place, word in enumerate(argv):
        if _name(word) == "freqtrade" and list(argv[place + 1 : place + 2]) == ["trade"]:
            return list(argv[place:])
    return []


def runs_with(argv: Sequence[str], config: str) -> bool:
    """Whether a process with this command line was itself given the file; what a shell interprets is its children's."""
    return script(argv) is None and any(config in re.split("[=:,]", word) for word in argv)


def refusal(command: str) -> str:
    """Why `--config FILE` at the end of the command would not reach freqtrade, and what to write; else empty."""
    reason = _reason(command)
    return reason and f"{reason}: {_instead(command)}"


def refusal_of_given(command: str) -> str:
    """Why the `command` of feeder_bots does not bring the file to freqtrade; else empty."""
    if PLACE not in command:
        return f"`command` has no {PLACE}: write it where the name of one more file belongs"
    text = script(words(command))
    if text is not None and PLACE not in text:
        return f"`command` has {PLACE} behind the text of a shell, where it is lost: write it within that text"
    return ""


def _reason(command: str) -> str:
    argv = words(command)
    own = trading(argv)
    if script(argv) is not None or (not own and any("freqtrade" in word and " " in word for word in argv)):
        return "hands its command to a shell or wrapper as one text, and an argument behind that is lost"
    if not own:
        return "does not start `freqtrade trade --config FILE` itself"
    if elsewhere := [name for name in map(_name, argv[: len(argv) - len(own)]) if name in ELSEWHERE]:
        return f"starts freqtrade by {elsewhere[0]}, which must first have this host's folder of the file"
    if not configs(own[2:]):
        return "names no --config, and freqtrade reads its default file only while none is named"
    return ""


def _instead(command: str) -> str:
    """The line to write in feeder_bots, made of the command if it can be."""
    trade = list(_TRADE.finditer(command))
    own = list(_OWN_CONFIG.finditer(trade[-1].group())) if trade else []
    if not own:
        return f"give the bot a `command` that starts it with --config {PLACE} after its own --config"
    end = trade[-1].start() + own[-1].end()
    return (
        f"give the bot `command: {json.dumps(f'{command[:end]} --config {PLACE}{command[end:]}', ensure_ascii=False)}`"
    )


def _interpreted(options: Sequence[str]) -> str | None:
    """The first word that is no option, if one of the options before it is -c."""
    interprets = value = False
    for word in options:
        if value:
            value = False
        elif word in _WITH_VALUE:
            value = True
        elif word.startswith(("-", "+")) and word != "-":
            interprets = interprets or word == "--command" or (not word.startswith("--") and "c" in word)
        else:
            return word if interprets else None
    return None


def _name(word: str) -> str:
    return word.rpartition("/")[2]
