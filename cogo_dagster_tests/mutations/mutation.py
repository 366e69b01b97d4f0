"""One mutation: the text it replaces, the new text, and the tests that must detect it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault in one place.

    Attributes:
        name: The fault.
        file: Relative to the project; it contains the old text once.
        tests: The test files that must detect it, the fastest first.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
