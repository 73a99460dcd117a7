"""An interrupted event loop leaves tasks; asyncio says nothing of them, and tells all errors."""

import asyncio
import gc
import logging
import signal

import pytest

from fsslib.runs.interrupts import _of_no_interrupt, terminate_as_exit, without_asyncios_report


@pytest.fixture
def reports(monkeypatch):
    """What asyncio has written."""
    records, logger = [], logging.getLogger("asyncio")
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(handler)
    gc.freeze()  # what other tests have left need not be looked through, which takes seconds
    yield records
    gc.unfreeze()
    logger.removeHandler(handler)
    logger.removeFilter(_of_no_interrupt)


async def stopped_by(error):
    """The inner task gets the signal, the outer one and a third are never resumed."""

    async def inner():
        await asyncio.sleep(0)
        raise error

    asyncio.get_running_loop().create_task(asyncio.sleep(100))
    await asyncio.get_running_loop().create_task(inner())


def leave_tasks(error):
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(stopped_by(error))
    finally:
        loop.close()
        gc.collect()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_asyncio_reports_nothing_of_an_interrupt(error, reports):
    with pytest.raises(error):
        leave_tasks(error())
    gc.collect()
    assert reports, "asyncio writes of them by itself"
    reports.clear()
    with pytest.raises(error), without_asyncios_report():
        leave_tasks(error())
    gc.collect()
    assert reports == []


def test_errors_of_tasks_are_still_told(reports):
    with pytest.raises(KeyboardInterrupt), without_asyncios_report():
        raise KeyboardInterrupt

    async def broken():
        raise ValueError("a real one")

    loop = asyncio.new_event_loop()
    task = loop.create_task(broken())
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    del task
    loop.close()
    gc.collect()
    assert any("never retrieved" in text for text in reports)


def test_termination_becomes_an_exit_inside_alone():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, terminate_as_exit():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
