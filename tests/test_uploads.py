"""Pictures that a server keeps: who brings them, and when the server has let go of one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from safejudge.engines.server.faults import RefusedError
from safejudge.engines.server.uploads import Uploads
from safejudge.types import Picture

if TYPE_CHECKING:
    from collections.abc import Collection

HANG = 600
"""Seconds after which a test that cannot end is ended."""
ONE, TWO, THREE = (Picture.of(np.full((4, 4, 3), n, np.uint8)) for n in (1, 2, 3))


class Server:
    """Keeps what it is brought, and refuses what is named and not there."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.brought: list[str] = []
        self.asked = 0
        self.out_of_order = False

    async def ask(self, uploads: Uploads, *pictures: Picture) -> str:
        async def send(there: Collection[str]) -> str:
            self.asked += 1
            await asyncio.sleep(0)
            missing = {p.digest for p in pictures} - set(there)
            if self.out_of_order or not set(there) <= self.kept:
                raise RefusedError("no")
            self.kept |= missing
            self.brought += sorted(missing)
            return "yes"

        return await uploads.ask(pictures, send)


def test_a_picture_is_brought_once_by_whoever_comes_first() -> None:
    async def run() -> None:
        server, uploads = Server(), Uploads()
        pairs = [(ONE,), (ONE, TWO), (TWO, ONE), (THREE, TWO), (ONE,)] * 3
        assert set(await asyncio.gather(*(server.ask(uploads, *pair) for pair in pairs))) == {"yes"}
        assert sorted(server.brought) == sorted(p.digest for p in (ONE, TWO, THREE))
        assert server.asked == len(pairs)

    asyncio.run(asyncio.wait_for(run(), HANG))


@pytest.mark.parametrize("others", [(), (TWO,), (TWO, THREE)])
def test_what_a_server_let_go_of_is_brought_again_also_beside_new_ones(
    others: tuple[Picture, ...],
) -> None:
    async def run() -> None:
        server, uploads = Server(), Uploads()
        await server.ask(uploads, ONE)
        server.kept.clear()
        assert await server.ask(uploads, ONE, *others) == "yes"
        assert await server.ask(uploads, ONE) == "yes"
        assert server.asked == 4  # one of them was refused
        assert server.brought.count(ONE.digest) == 2

    asyncio.run(asyncio.wait_for(run(), HANG))


def test_a_request_that_brought_everything_and_is_refused_is_not_sent_again() -> None:
    async def run() -> None:
        server, uploads = Server(), Uploads()
        server.out_of_order = True
        for _ in range(2):
            with pytest.raises(RefusedError):
                await server.ask(uploads, ONE, TWO)
        assert server.asked == 2
        server.out_of_order = False
        assert await server.ask(uploads, TWO) == "yes"  # and its gate is open

    asyncio.run(asyncio.wait_for(run(), HANG))
