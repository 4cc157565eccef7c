"""A strict parser of line protocol, written from InfluxDB's specification and nothing of ours.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import re
from decimal import Decimal

_FLOAT = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


class NotLineProtocol(Exception):
    """Raised by the parser."""


def parse_line(line: str) -> tuple[str, dict[str, str], dict[str, Decimal | int | str], int]:
    """Return measurement, tags, fields (floats as Decimal) and time of one line."""
    if "\n" in line or "\r" in line:
        raise NotLineProtocol("more than one line")
    head = _split(line, " ")[0]  # a quote in a tag is a character like any other
    fields, time = _split(line[len(head) + 1 :], " ", quotes=True)
    measurement, *tags = _split(head, ",")
    return _unescape(measurement), dict(map(_tag, tags)), dict(map(_field, _split(fields, ",", quotes=True))), int(time)


def _split(text: str, separator: str, *, quotes: bool = False) -> list[str]:
    parts, part, quoted, position = [], "", False, 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            part += text[position : position + 2]
            position += 2
            continue
        if quotes and character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            parts.append(part)
            part = ""
        else:
            part += character
        position += 1
    if quoted:
        raise NotLineProtocol("an open quote")
    return [*parts, part]


def _unescape(text: str) -> str:
    if not text or text.endswith("\\"):
        raise NotLineProtocol("an empty name, or one that ends with a backslash")
    return re.sub(r"\\([,= ])", r"\1", text)


def _tag(text: str) -> tuple[str, str]:
    key, value = _split(text, "=")
    return _unescape(key), _unescape(value)


def _field(text: str) -> tuple[str, Decimal | int | str]:
    key, value = _split(text, "=", quotes=True)
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        return _unescape(key), re.sub(r'\\(["\\])', r"\1", value[1:-1])
    if value.endswith("i"):
        return _unescape(key), int(value[:-1])
    if not _FLOAT.fullmatch(value):
        raise NotLineProtocol(f"{value!r} is no field value")
    return _unescape(key), Decimal(value)
