"""The base of all rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, PrivateAttr, model_validator

Cursor = Mapping[str, str]
"""The columns that order a list, from the last row of the previous page."""


class Row(BaseModel):
    """A document returned by an SQL function.

    The schema of a type is built when the first document is read, not at import.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, populate_by_name=True)

    _document: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_document(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        row = handler(value)
        if isinstance(value, dict):
            row._document = value  # noqa: SLF001 - the row's own
        return row

    @property
    def document(self) -> dict[str, Any]:
        """The document as the database returned it, with all keys."""
        return self._document

    def cursor(self, *columns: str) -> Cursor:
        """Return the columns that order the list, as the SQL function takes them for the next page."""
        return {name: self._document[name] for name in columns}


RowType = TypeVar("RowType", bound=Row)


def read_list(row_type: type[RowType], documents: Sequence[Any]) -> list[RowType]:
    """Parse rows of one type.

    Raises:
        ValueError: A document does not have the declared form.
    """
    return [row_type.model_validate(document) for document in documents]
