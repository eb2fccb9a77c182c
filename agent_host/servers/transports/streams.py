"""What the SDK wants of a stream besides sending or receiving: a context that closes it."""

from types import TracebackType
from typing import Self


class Stream:
    """Leaving its context closes it."""

    async def aclose(self) -> None:
        """Nothing more goes through."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        await self.aclose()
        return None
