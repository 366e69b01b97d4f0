"""One mutation: what is replaced by what, and the tests that are to notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault.

    Attributes:
        name: What no longer holds.
        file: Relative to the project; the old text stands there once.
        tests: The files that are to notice, cheapest first.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
