"""Children are waited for, replaced when they die, and stopped when asked."""

import asyncio

from gnomon.supervisor import children

GOOD = (
    "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(0))\nprint('ready', flush=True)\ntime.sleep(60)\n"
)


def child(tmp_path, code):
    return children.Child("part", ["-c", code], tmp_path / "part.log")


def test_a_child_is_ready_when_it_says_so(tmp_path):
    async def story():
        part = child(tmp_path, GOOD)
        await children.start(part)
        assert part.ready
        assert part.pid
        assert await children.stop(part, patience=10)
        assert part.pid is None

    asyncio.run(story())


def test_a_child_that_fails_is_not_ready_and_its_last_words_are_kept(tmp_path):
    async def story():
        part = child(tmp_path, "raise SystemExit('the disk is full')")
        await children.start(part)
        assert not part.ready
        assert children.last_words(part) == "the disk is full"

    asyncio.run(story())


def test_a_child_that_dies_is_replaced_and_said(tmp_path):
    async def story():
        said = []
        part = child(tmp_path, GOOD)
        await children.start(part)
        watching = asyncio.create_task(children.watch(part, said.append))
        first = part.pid
        part.process.kill()
        while not (part.ready and part.pid not in (None, first)):
            await asyncio.sleep(0.01)
        assert part.restarts == 1
        assert "started again" in said[0]
        await children.stop(part, patience=10)
        await watching

    asyncio.run(story())


def test_a_child_that_ignores_the_request_is_killed_after_the_patience(tmp_path):
    async def story():
        part = child(
            tmp_path,
            "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)\n",
        )
        await children.start(part)
        assert await children.stop(part, patience=0.2) is False
        assert part.pid is None

    asyncio.run(story())
