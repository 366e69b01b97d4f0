"""Reads untrusted files: limits their size, rejects XML entities, and reports errors."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from cogo_dagster.quality.reports.encoding import TooLarge, cleaned_xml, decoded, decompress
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.text import parse_json as strict_json

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_COUNT: Final = 2_000_000_000
_MAX_DEPTH: Final = 200


class ReportError(InvalidArgument):
    """A report cannot be read; the message names the file and states what to do."""


class OtherFormat(ReportError):
    """The file has another format; in a folder, such files are skipped."""


def read_bytes(path: Path) -> bytes:
    """Return the content of a report, decompressed.

    Raises:
        ReportError: The file is missing, not a regular file, too large, or a damaged archive.
    """
    limit = f"the limit is {MAX_BYTES // 2**20} MiB: make the report smaller"
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise_error(path, "is not a regular file: name a regular file")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            raise_error(path, f"has {size_bytes / 2**20:,.0f} MiB; {limit}")
        return decompress(path.read_bytes()[: MAX_BYTES + 1], MAX_BYTES)
    except OSError as error:
        raise_error(path, f"cannot be read ({error.strerror}): name an existing file")
    except ValueError:
        raise_error(path, "cannot be read (its name has a U+0000): name an existing file")
    except TooLarge:
        raise_error(path, f"is too large after decompression; {limit}")
    except zlib.error as error:
        raise_error(path, f"is a damaged gzip archive ({str(error)[:80]}): regenerate the report")


def read_text(path: Path) -> str:
    """Return the text of a report.

    Raises:
        ReportError: See `read_bytes`; or the file is empty.
    """
    text = decoded(read_bytes(path))
    if not text.strip("\0 \t\r\n\ufeff"):
        raise_error(path, "is empty: check whether the tool failed")
    return text


def parse_json(path: Path, text: str) -> Json:
    """Parse a JSON report.

    Raises:
        ReportError: The text is not JSON, or incomplete.
    """
    try:
        return strict_json(text.strip("\0 \t\r\n\ufeff"))
    except ValueError as error:
        if not text.lstrip().startswith(("[", "{")):
            raise other_format(
                path,
                "is not JSON, or begins with other output: make the tool write the file, as with its option -o",
            ) from None
        raise_error(path, f"is not valid JSON ({str(error).splitlines()[0][:120]}): regenerate the report")


def elements(path: Path, text: str, keep: str = "testcase") -> Iterator[Element]:
    """Yield the elements of an XML report: the root at its start, others at their end; they are then cleared.

    Args:
        keep: The children of elements with this name are kept until the element ends.

    Raises:
        ReportError: The text is not XML, is incomplete, or declares entities.
    """
    for event, element, depth in events(path, text, keep):
        if event == "end" or depth == 1:
            yield element


def events(path: Path, text: str, keep: str) -> Iterator[tuple[str, Element, int]]:
    """Yield `start` and `end` events with the element and its depth, from 1; names have no namespace.

    Raises:
        ReportError: See `elements`.
    """
    parents: list[Element] = []
    try:
        for event, element in iterparse(_Chunks(cleaned_xml(text)), events=("start", "end")):
            if event == "start":
                element.tag = element.tag.rpartition("}")[2]
                parents.append(element)
                if len(parents) > _MAX_DEPTH:
                    raise_error(path, f"is nested too deeply (over {_MAX_DEPTH} levels): check that it is a report")
                yield event, element, len(parents)
            else:
                yield event, element, len(parents)
                parents.pop()
                if parents and parents[-1].tag != keep:
                    del parents[-1][:]
    except DefusedXmlException:
        raise_error(path, "declares XML entities, which are not allowed: write the report without them")
    except (ParseError, LookupError, ValueError) as error:
        raise_error(path, f"is not valid XML ({str(error)[:120]}): regenerate the report")


def raise_error(path: Path, what: str) -> NoReturn:
    """Raise an error about a report.

    Raises:
        ReportError: Always.
    """
    raise report_error(path, what)


def report_error(path: Path, what: str) -> ReportError:
    """Return an error about a report."""
    return ReportError(f"The report {safe_name(path)} {what}.")


def other_format(path: Path, what: str) -> OtherFormat:
    """Return an error about a file with another format."""
    return OtherFormat(f"The report {safe_name(path)} {what}.")


def safe_name(path: Path) -> str:
    """Return the file name, safe for messages and archives."""
    return path.name.encode("utf-8", "replace").decode()[:100].replace("\0", "?") or str(path)


def check_count(path: Path, value: Json, what: str) -> int:
    """Return *value* if it is a count.

    Raises:
        ReportError: The value is not a count.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise_error(path, f"has {str(value)[:40]!r} as the number of {what}: regenerate the report")
    return value


def count_in(value: str | None) -> int | None:
    """Return the count in an attribute, or None if it is missing or invalid."""
    text = (value or "").strip().replace(",", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_COUNT else None


def check_percentage(path: Path, value: Json) -> float:
    """Return a percentage, rounded to two decimals.

    Raises:
        ReportError: The value is not between 0 and 100.
    """
    number = number_of(value)
    if number is None or not 0 <= number <= 100:
        raise_error(path, f"has {str(value)[:40]!r} as the coverage: regenerate the report")
    return round(number, 2)


def number_of(value: Json, convert: Callable[[Json], float] = float) -> float | None:
    """Return a number, also from text, or None if it is not a number."""
    try:
        number = convert(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= MAX_COUNT else None  # false for NaN


class _Chunks:
    """A file object over the text, for the parser."""

    def __init__(self, text: str) -> None:
        self._bytes = memoryview(text.encode())

    def read(self, size: int = 65_536) -> bytes:
        """Return the next chunk."""
        piece, self._bytes = self._bytes[:size], self._bytes[size:]
        return bytes(piece)
