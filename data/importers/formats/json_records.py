"""Records of a JSON file, one at a time in bounded memory, and typed reading of their values."""

import codecs
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO
from uuid import UUID

from data.importers.formats.archives import DAMAGED
from data.tables import LONGEST_CONTENT

CHUNK = 1 << 20
LONGEST = 16 << 20
"Bytes of a line, characters of an array's element. A longer one is no record, and bounds what damage can cost."
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECODER = json.JSONDecoder()
_SIGN = re.compile(r"[^ \t\r\n]")


@dataclass(frozen=True)
class Broken:
    """Stands where a record should: why there is none, and what is there instead."""

    reason: str
    content: str = ""


def lines(stream: IO[bytes]) -> Iterator[tuple[int, object]]:
    """Of JSON lines the number and the value of each, Broken where a line is none. Blank lines are passed over."""
    number = 0
    try:
        while line := stream.readline(LONGEST):
            number += 1
            value: object
            if len(line) == LONGEST and not line.endswith(b"\n"):
                _finish_line(stream)
                value = Broken(f"a line longer than {LONGEST >> 20} MiB")
            elif not (line := line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip():
                continue
            else:
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    value = Broken("not JSON", line[:LONGEST_CONTENT].decode("utf-8", "replace").strip())
            yield number, value
        if not number:
            yield 0, Broken("empty file")
    except DAMAGED as error:
        yield number + 1, Broken(f"damaged from here on ({error})")


def _finish_line(stream: IO[bytes]) -> None:
    """Read on to where the next line begins, keeping nothing."""
    rest = stream.readline(LONGEST)
    while rest and not rest.endswith(b"\n"):
        rest = stream.readline(LONGEST)


def elements(stream: IO[bytes]) -> Iterator[tuple[str, object]]:
    """The elements of a file that is an array, under the key ""; of one that is an object, what its keys hold.

    An array below a key comes element by element under that key. The file may end early or turn into something else:
    then what was whole has come, and one Broken follows, without content, since that may be anything.
    """
    text = _Text(stream)
    try:
        sign = text.peek()
        if sign == "[":
            yield from _array(text, "")
        elif sign == "{":
            yield from _object(text)
        else:
            yield "", Broken("neither a JSON array nor an object" if sign else "empty file")
    except (ValueError, RecursionError):
        yield "", Broken("ends in the middle of a record" if text.ended else "no JSON from here on")
    except DAMAGED as error:
        yield "", Broken(f"damaged from here on ({error})")


def text_of(value: object) -> str | None:
    """A string that says something, trimmed. Halves of surrogate pairs, which JSON may hold and UTF-8 may not, go."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return (value if value.isascii() else value.encode("utf-8", "replace").decode()) or None


def uuid_of(value: object) -> str | None:
    """A UUID in its usual spelling, from any other: in capitals, braces or an address, without hyphens."""
    if not isinstance(value, str):
        return None
    found = re.fullmatch(r"(?:.*[/:{])?([0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12})}?", value.strip())
    return None if found is None else str(UUID(found[1]))


def number_of(value: object) -> float | None:
    """A finite number, as such or as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def moment_of(value: object) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time or day, UTC where it names no zone."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


class _Text:
    """A window on a stream's text; `at` is where reading goes on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self.text, self.at, self.ended = "", 0, False

    def more(self) -> bool:
        """Move the window on; False where the stream has ended."""
        if self.ended:
            return False
        chunk = self.stream.read(CHUNK)
        self.ended = not chunk
        self.text, self.at = self.text[self.at :] + self.decoder.decode(chunk, self.ended), 0
        return True

    def peek(self) -> str:
        """The next character that is not blank, where `at` then stands; empty at the end."""
        while True:
            if found := _SIGN.search(self.text, self.at):
                self.at = found.start()
                return found.group()
            self.at = len(self.text)
            if not self.more():
                return ""

    def value(self) -> object:
        """The value that begins here. Raises ValueError where there is none, or none that ends within LONGEST."""
        while True:
            failure = None
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except ValueError as error:
                failure = error
            else:
                # A number may go on behind the window, or seem to end before what is half an exponent.
                if self.ended or self.text[end : end + 1] not in ("", ".", "e", "E"):
                    self.at = end
                    return value
            if self.ended or len(self.text) - self.at > LONGEST:
                raise failure or ValueError("a number without end")
            self.more()


def _array(text: _Text, key: str) -> Iterator[tuple[str, object]]:
    text.at += 1
    while text.peek() != "]":
        yield key, text.value()
        sign = text.peek()
        if sign not in (",", "]"):
            raise ValueError(f"{sign!r} after an element")
        text.at += sign == ","
    text.at += 1


def _object(text: _Text) -> Iterator[tuple[str, object]]:
    text.at += 1
    while text.peek() != "}":
        key = text.value()
        if not isinstance(key, str) or text.peek() != ":":
            raise ValueError("no key")
        text.at += 1
        if text.peek() == "[":
            yield from _array(text, key)
        else:
            yield key, text.value()
        sign = text.peek()  # first, for it moves `at`
        text.at += sign == ","
    text.at += 1
