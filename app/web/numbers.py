"""Whole numbers of addresses and queries, as bounded as the columns they are compared with."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator

from app.errors import NotFound

LARGEST_ID = 2**63 - 1
"""Of a bigint, which every row's id is."""
LARGEST_INT = 2**31 - 1
"""Of an integer, which every other number is."""


def _up_to(largest: int) -> AfterValidator:
    """A number that no row can have names nothing."""

    def possible(number: int) -> int:
        if not 0 <= number <= largest:
            raise NotFound("There is no such page.")
        return number

    return AfterValidator(possible)


RowId = Annotated[int, _up_to(LARGEST_ID)]
"""In a path: a row's id."""
RowNumber = Annotated[int, _up_to(LARGEST_INT)]
"""In a path: a number within a study, such as an item's."""
BeforeId = Annotated[int, Query(ge=1, le=LARGEST_ID)]
"""Of the last row that was seen: those below it are asked for."""
