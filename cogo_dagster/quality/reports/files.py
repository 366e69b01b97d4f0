"""Reading a file that a stranger wrote: a cap on its size, no entities, and one sentence for whatever is wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json

MAX_BYTES: Final = 64 * 1024 * 1024
MOST: Final = 2_000_000_000
_MOST_DEPTH: Final = 200


class ReportError(InvalidArgument):
    """A report cannot be read; the message is one sentence that names the file and says what to do."""


def read_text(path: Path) -> str:
    """Return the whole text of a report.

    Raises:
        ReportError: It is missing, empty, too big, or no text.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            limit = MAX_BYTES // 2**20
            refuse(path, f"has {size_bytes / 2**20:,.0f} MiB, and {limit} are read at most: report less")
        text = path.read_bytes()[: MAX_BYTES + 1].decode("utf-8-sig")
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror}): name an existing file")
    except UnicodeDecodeError:
        refuse(path, "is not UTF-8 text: let the tool write it anew")
    if not text.strip():
        refuse(path, "is empty: did the tool that writes it fail?")
    return text


def parse_json(path: Path, text: str) -> Json:
    """Parse a report that is JSON.

    Raises:
        ReportError: It is not, or not whole.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        refuse(path, "is nested too deeply to be a report")
    except ValueError as error:
        refuse(path, f"is not whole JSON ({str(error).splitlines()[0][:120]}): let the tool write it anew")


def elements(path: Path, text: str) -> Iterator[Element]:
    """Yield the elements of a report that is XML: the root as it begins, each as it ends, emptied afterwards.

    Raises:
        ReportError: It is not, not whole, or declares entities.
    """
    parents: list[Element] = []
    try:
        for event, element in iterparse(_Chunks(text), events=("start", "end")):
            if event == "start":
                parents.append(element)
                if len(parents) > _MOST_DEPTH:
                    refuse(path, "is nested too deeply to be a report")
                if len(parents) == 1:
                    yield element
            else:
                parents.pop()
                yield element
                if parents and parents[-1].tag != "testcase":  # what a test case holds is looked at with it
                    del parents[-1][:]
    except DefusedXmlException:
        refuse(path, "declares entities, which no report needs and an attack does: it is not read")
    except (ParseError, LookupError, ValueError) as error:
        refuse(path, f"is not whole XML ({str(error)[:120]}): let the tool write it anew")


def refuse(path: Path, what: str) -> NoReturn:
    """Raise the sentence.

    Raises:
        ReportError: Always.
    """
    raise refusal(path, what)


def refusal(path: Path, what: str) -> ReportError:
    """Return the sentence as an error to raise."""
    return ReportError(f"The report {path.name} {what}.")


def counted(path: Path, value: Json, what: str) -> int:
    """Return a count as it is.

    Raises:
        ReportError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        refuse(path, f"says {str(value)[:40]!r} where the {what} should be counted: let the tool write it anew")
    return value


def share(path: Path, value: Json) -> float:
    """Return a percentage with two decimals.

    Raises:
        ReportError: It is not between 0 and 100.
    """
    number = number_of(value)
    if number is None or not 0 <= number <= 100:
        refuse(path, f"says {str(value)[:40]!r} where the covered share should be: let the tool write it anew")
    return round(number, 2)


def number_of(value: Json, convert: Callable[[Json], float] = float) -> float | None:
    """Return a number, also from text; None where there is none."""
    try:
        number = convert(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= MOST else None  # NaN is not


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


class _Chunks:
    """Text as the parser reads it, piece by piece."""

    def __init__(self, text: str) -> None:
        self._bytes = memoryview(text.encode())

    def read(self, size: int = 65_536) -> bytes:
        """Return the next piece."""
        piece, self._bytes = self._bytes[:size], self._bytes[size:]
        return bytes(piece)
