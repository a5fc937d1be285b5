"""Deadlines: what is late ends, what is not is left alone, and a cancellation from elsewhere stays one."""

import asyncio

import pytest

from webhooks.deadlines import Deadlines


def watched(work):
    """Run this with deadlines that are watched; returns what it returns."""

    async def main():
        deadlines = Deadlines()
        watching = asyncio.create_task(deadlines.watch())
        try:
            return await work(deadlines)
        finally:
            watching.cancel()

    return asyncio.run(main())


async def forever() -> None:
    await asyncio.Event().wait()


def test_what_takes_longer_than_it_may_ends_with_a_timeout_and_the_task_goes_on():
    async def work(deadlines: Deadlines) -> str:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await deadlines.within(0.01, forever())
        await asyncio.sleep(0)
        return await deadlines.within(60, asyncio.sleep(0, "done"))

    assert watched(work) == "done"


def test_many_at_once_each_have_their_own():
    async def work(deadlines: Deadlines) -> list[object]:
        late = [deadlines.within(0.01, forever()) for _ in range(20)]
        early = [deadlines.within(60, asyncio.sleep(0.4, number)) for number in range(20)]
        return await asyncio.gather(*late, *early, return_exceptions=True)

    ended = watched(work)
    assert [type(end) for end in ended[:20]] == [TimeoutError] * 20
    assert ended[20:] == list(range(20))


def test_an_error_inside_comes_out_as_it_is():
    async def work(deadlines: Deadlines) -> None:
        async def fails() -> None:
            raise ZeroDivisionError

        await deadlines.within(60, fails())

    with pytest.raises(ZeroDivisionError):
        watched(work)


def test_a_task_that_somebody_else_cancels_is_cancelled():
    async def work(deadlines: Deadlines) -> bool:
        task = asyncio.create_task(deadlines.within(60, forever()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert watched(work) is True
