"""A request begins without a task, and gets one if it has to wait."""

from __future__ import annotations

import asyncio

import pytest

from openholder.serving.delegate import _Begun


async def wait_for_both(future, seen):
    try:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        seen.append(await future)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


def begin(future, seen):
    coroutine = wait_for_both(future, seen)
    # Outside of a task, as where the event loop hands over what a connection has received.
    begun = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: begun.set_result(_Begun(coroutine, coroutine.send(None))))
    return begun


@pytest.mark.gen_test
async def test_a_task_goes_on_where_the_first_step_ended():
    future, seen = asyncio.get_running_loop().create_future(), []
    task = asyncio.create_task(await begin(future, seen))
    asyncio.get_running_loop().call_soon(future.set_result, "done")
    await task
    assert seen == [None, task, "done"]


@pytest.mark.gen_test
async def test_a_future_that_the_first_step_waits_for_is_waited_for():
    async def wait():
        return await future

    future = asyncio.get_running_loop().create_future()
    coroutine = wait()
    task = asyncio.create_task(_Begun(coroutine, coroutine.send(None)))
    await asyncio.sleep(0)
    assert not task.done()
    future.set_result("done")
    assert await task == "done"


@pytest.mark.gen_test
async def test_a_task_cancelled_before_it_runs_tells_the_coroutine():
    future, seen = asyncio.get_running_loop().create_future(), []
    task = asyncio.create_task(await begin(future, seen))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [None, "cancelled"]
