"""Reading a file that a stranger wrote: a cap on its size, no entities, and one sentence for whatever is wrong."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from cogo_dagster.quality.reports.encoding import TooLarge, cleaned_xml, decoded, unpacked
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.text import parse_json as strict_json

MAX_BYTES: Final = 64 * 1024 * 1024
MOST: Final = 2_000_000_000
_MOST_DEPTH: Final = 200


class ReportError(InvalidArgument):
    """A report cannot be read; the message is one sentence that names the file and says what to do."""


class OtherFormat(ReportError):
    """It is whole, and a report of another kind: among the files of a folder it is passed over."""


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a report, out of gzip.

    Raises:
        ReportError: It is missing, no regular file, too big, or a damaged archive.
    """
    limit = f"{MAX_BYTES // 2**20} are read at most: report less"
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            refuse(path, "is no regular file: name one")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            refuse(path, f"has {size_bytes / 2**20:,.0f} MiB, and {limit}")
        return unpacked(path.read_bytes()[: MAX_BYTES + 1], MAX_BYTES)
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror}): name an existing file")
    except ValueError:
        refuse(path, "cannot be read (its name has a U+0000): name an existing file")
    except TooLarge:
        refuse(path, f"has more MiB inside gzip than are read: {limit}")
    except zlib.error as error:
        refuse(path, f"is a damaged gzip archive ({str(error)[:80]}): let the tool write it anew")


def read_text(path: Path) -> str:
    """Return the whole text of a report.

    Raises:
        ReportError: As `read_bytes`, or it is empty.
    """
    text = decoded(read_bytes(path))
    if not text.strip("\0 \t\r\n\ufeff"):
        refuse(path, "is empty: did the tool that writes it fail?")
    return text


def parse_json(path: Path, text: str) -> Json:
    """Parse a report that is JSON.

    Raises:
        ReportError: It is not, or not whole.
    """
    try:
        return strict_json(text.strip("\0 \t\r\n\ufeff"))
    except RecursionError:
        refuse(path, "is nested too deeply to be a report")
    except ValueError as error:
        if not text.lstrip().startswith(("[", "{")):
            raise other_format(
                path,
                "is not JSON, or begins with other output: let the tool write the file itself, as by its option -o",
            ) from None
        refuse(path, f"is not whole JSON ({str(error).splitlines()[0][:120]}): let the tool write it anew")


def elements(path: Path, text: str, keep: str = "testcase") -> Iterator[Element]:
    """Yield the elements of a report that is XML: the root as it begins, each as it ends, emptied afterwards.

    Args:
        keep: What an element of this name holds is still there when it ends.

    Raises:
        ReportError: It is not, not whole, or declares entities.
    """
    for event, element, depth in events(path, text, keep):
        if event == "end" or depth == 1:
            yield element


def events(path: Path, text: str, keep: str) -> Iterator[tuple[str, Element, int]]:
    """Yield `start` and `end` of each element with its depth, from 1; names come without namespaces.

    Raises:
        ReportError: As `elements`.
    """
    parents: list[Element] = []
    try:
        for event, element in iterparse(_Chunks(cleaned_xml(text)), events=("start", "end")):
            if event == "start":
                element.tag = element.tag.rpartition("}")[2]
                parents.append(element)
                if len(parents) > _MOST_DEPTH:
                    refuse(path, "is nested too deeply to be a report")
                yield event, element, len(parents)
            else:
                yield event, element, len(parents)
                parents.pop()
                if parents and parents[-1].tag != keep:
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
    return ReportError(f"The report {shown(path)} {what}.")


def other_format(path: Path, what: str) -> OtherFormat:
    """Return the sentence for a report of another kind as an error to raise."""
    return OtherFormat(f"The report {shown(path)} {what}.")


def shown(path: Path) -> str:
    """Return the file's name as it can be written anywhere."""
    return path.name.encode("utf-8", "replace").decode()[:100].replace("\0", "?") or str(path)


def counted(path: Path, value: Json, what: str) -> int:
    """Return a count as it is.

    Raises:
        ReportError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        refuse(path, f"says {str(value)[:40]!r} where the {what} should be counted: let the tool write it anew")
    return value


def count_in(value: str | None) -> int | None:
    """Return a count out of an attribute; None where there is none, or something else."""
    text = (value or "").strip().replace(",", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MOST else None


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


class _Chunks:
    """Text as the parser reads it, piece by piece."""

    def __init__(self, text: str) -> None:
        self._bytes = memoryview(text.encode())

    def read(self, size: int = 65_536) -> bytes:
        """Return the next piece."""
        piece, self._bytes = self._bytes[:size], self._bytes[size:]
        return bytes(piece)
