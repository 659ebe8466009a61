"""The loop runs what asyncio code is made of, in virtual time and in a drawn order, and refuses the rest."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading

import pytest

from holdfast.errors import ProgramFault, SimulationDeadlock, Violation
from holdfast.simulation.kernel import loop as loops
from holdfast.simulation.kernel.choices import RecordingChoices, SeededChoices
from holdfast.simulation.kernel.life import current_node
from holdfast.simulation.kernel.loop import SimLoop
from holdfast.simulation.kernel.trace import Trace

from .loops import FirstInLine, loop_of, run

SEEDS = range(8)


async def after(seconds, value):
    await asyncio.sleep(seconds)
    return value


def test_sleeping_takes_virtual_time_only():
    with loop_of() as loop:
        loop.run_until_complete(asyncio.sleep(400 * 86_400))
        assert 400 * 86_400 <= loop.time() < 400 * 86_400 + 0.001


@pytest.mark.parametrize("seed", SEEDS)
def test_gather_and_task_groups_give_results_in_order(seed):
    async def main():
        assert await asyncio.gather(after(3, "c"), after(1, "a"), after(2, "b")) == ["c", "a", "b"]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(after(3 - number, number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert run(main(), seed) == [0, 1, 2]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_failing_task_cancels_its_group(seed):
    ended = []

    async def long():
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def failing():
        await asyncio.sleep(1)
        raise LookupError("mine")

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(long())
            group.create_task(failing())

    with pytest.raises(ExceptionGroup) as raised:
        run(main(), seed)
    assert raised.group_contains(LookupError, match="mine")
    assert len(ended) == 1
    assert ended[0] < 2


@pytest.mark.parametrize("seed", SEEDS)
def test_timeouts_cancel_and_shields_protect(seed):
    async def main():
        loop = asyncio.get_running_loop()
        work = asyncio.ensure_future(after(10, "done"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(work)
        assert 2 <= loop.time() < 2.001
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(after(5, ""), 1)
        return await work, loop.time()

    value, ended = run(main(), seed)
    assert value == "done"
    assert 10 <= ended < 10.001


@pytest.mark.parametrize("seed", SEEDS)
def test_locks_semaphores_queues_events_and_conditions(seed):
    async def main():
        queue, slots, lock, full, seen = asyncio.Queue(2), asyncio.Semaphore(2), asyncio.Lock(), asyncio.Event(), []
        busy = 0

        async def produce():
            nonlocal busy
            for number in range(10):
                async with slots:
                    busy += 1
                    assert busy <= 2
                    await asyncio.sleep(0.01)
                    busy -= 1
                await queue.put(number)

        async def consume():
            while True:
                number = await queue.get()
                async with lock:
                    seen.append(number)
                    await asyncio.sleep(0)
                queue.task_done()
                if len(seen) == 30:
                    full.set()

        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        await asyncio.gather(*(produce() for _ in range(3)))
        await full.wait()
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        await asyncio.wait(consumers)
        return sorted(seen)

    assert run(main(), seed) == sorted([*range(10)] * 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_async_generators_run_and_close(seed):
    closed = []

    async def count():
        try:
            for number in range(100):
                await asyncio.sleep(0.1)
                yield number
        finally:
            await asyncio.sleep(0.1)
            closed.append(True)

    async def main():
        numbers = count()
        async for number in numbers:
            if number == 3:
                break
        await numbers.aclose()
        forgotten = count()
        await anext(forgotten)
        await asyncio.get_running_loop().shutdown_asyncgens()
        return number

    assert run(main(), seed) == 3
    assert closed == [True, True]


def test_functions_in_executors_run_in_line_after_a_delay():
    thread = threading.get_ident()
    label = contextvars.ContextVar("label")

    def work(value):
        assert threading.get_ident() == thread
        return value, label.get(None), loop.time()

    async def main():
        label.set("mine")
        first = await asyncio.to_thread(work, 1)
        second = await loop.run_in_executor(None, work, 2)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.to_thread(next, iter(()))
        dropped = loop.run_in_executor(None, pytest.fail)
        dropped.cancel()
        await asyncio.sleep(10)
        return first, second

    with loop_of() as loop:
        first, second = loop.run_until_complete(main())
    assert (first[:2], second[:2]) == ((1, "mine"), (2, "mine"))
    assert 0 < first[2] < second[2] < 0.01


def test_what_a_node_starts_belongs_to_the_node():
    seen = []

    async def program():
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: seen.append(("soon", current_node.get())))
        loop.call_later(1, lambda: seen.append(("later", current_node.get())))
        await asyncio.gather(*(asyncio.create_task(child()) for _ in range(2)))
        seen.append(("thread", await asyncio.to_thread(current_node.get)))
        await asyncio.sleep(2)

    async def child():
        seen.append(("child", current_node.get()))

    with loop_of() as loop:
        loop.run_until_complete(asyncio.gather(loop.spawn("a", program()), loop.spawn("b", program())))
        assert current_node.get() == ""
    each = ["child", "child", "later", "soon", "thread"]
    assert sorted(seen) == sorted((what, node) for node in "ab" for what in each)


def order_of(choices):
    ran = []
    with loop_of(choices=choices) as loop:
        for number in range(20):
            loop.call_soon(ran.append, number)
        loop.run_until_complete(asyncio.sleep(1))
    return ran


def test_the_plainest_schedule_is_first_in_first_out_and_others_are_drawn():
    assert order_of(FirstInLine()) == list(range(20))
    orders = {tuple(order_of(SeededChoices(seed))) for seed in range(20)}
    assert len(orders) == 20
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_the_schedule_is_the_only_thing_the_loop_draws():
    choices = RecordingChoices(SeededChoices(1))
    order_of(choices)
    assert {draw.stream for draw in choices.tape} == {"sched"}


def test_sets_of_tasks_have_the_same_order_in_every_process():
    async def main():
        tasks = [asyncio.create_task(after(0, number)) for number in range(50)]
        done, _ = await asyncio.wait(tasks)
        return [task.result() for task in done], [task.get_name() for task in tasks[:2]]

    with loop_of(choices=FirstInLine()) as loop:
        results, names = loop.run_until_complete(main())
        ballast = [object() for _ in range(1000)]
        assert ballast
    with loop_of(choices=FirstInLine()) as loop:
        assert (results, names) == loop.run_until_complete(main())
    assert names[0] == "after#3"


@pytest.mark.parametrize("when", [1e-9, 0.1 + 0.2, 1 / 3, 1e-6, 123_456.654_321])
def test_waiting_for_a_moment_ends(when):
    async def main():
        loop = asyncio.get_running_loop()
        rounds = 0
        while loop.time() < when:
            await asyncio.sleep(when - loop.time())
            rounds += 1
        return rounds

    assert run(main()) <= 2


def test_code_that_spins_lets_time_pass():
    async def main():
        loop = asyncio.get_running_loop()
        due = loop.time() + 0.001
        timer = loop.call_at(due, lambda: None)
        assert timer.when() == due
        while loop.time() < due:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)

    run(main())


def test_cancelled_timers_neither_run_nor_move_time():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(5_000):
            loop.call_later(50, pytest.fail).cancel()
        await asyncio.sleep(1)
        return loop.time(), len(loop._schedule._timers)

    ended, kept = run(main())
    assert ended < 2
    assert kept < 2_000


def test_a_program_that_spins_for_ever_is_named(monkeypatch):
    monkeypatch.setattr(loops, "BUSY_STEPS_MAX", 30_000)

    async def spin():
        while True:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)

    with loop_of() as loop:
        loop.spawn("a", spin())
        with pytest.raises(SimulationDeadlock, match=r"steps ran and something was ready all the time; .*a: .*spin"):
            loop.run_forever()


def test_a_callback_that_fails_is_written_down_and_the_others_go_on():
    heard, ran = [], []
    with loop_of() as loop:
        loop.set_exception_handler(lambda loop, context: heard.append(context["exception"]))
        loop.call_soon(lambda: 1 // 0)
        loop.call_soon(ran.append, 1)

        async def failing():
            raise LookupError("nobody asks for it at 0x7f00aa")

        loop.spawn("a", failing())
        loop.run_until_complete(asyncio.sleep(1))
        gc.collect()
        kinds = sorted((type(complaint.error).__name__, complaint.node) for complaint in loop.complaints)
    assert ran == [1]
    assert kinds == [("LookupError", "a"), ("ZeroDivisionError", "")]
    assert len(heard) == 2
    details = [row.detail for row in loop.trace if row.what == "complaint"]
    assert "nobody asks for it at 0x" in " ".join(details)
    assert "7f00aa" not in " ".join(details)


def test_a_violation_found_in_a_callback_ends_the_run():
    def check():
        raise Violation("two nodes differ", subject="a, b", remedy="Look at the trace.")

    with loop_of() as loop:
        loop.call_later(1, check)
        with pytest.raises(Violation):
            loop.run_until_complete(asyncio.sleep(10))
        assert loop.time() < 2


REFUSED = [
    ("add_reader", (0, print)),
    ("create_connection", (None, "localhost", 80)),
    ("add_signal_handler", (2, print)),
    ("getaddrinfo", ("localhost", 80)),
    ("subprocess_exec", (None, "true")),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_the_way_out_of_the_simulation_is_refused_with_the_line(name, arguments):
    async def main():
        getattr(asyncio.get_running_loop(), name)(*arguments)

    with pytest.raises(ProgramFault, match=name) as raised:
        run(main())
    assert raised.value.subject == f"{__file__}:{main.__code__.co_firstlineno + 1}"


def test_asyncio_functions_that_lead_out_are_refused_with_the_line_that_calls_them():
    async def main():
        await asyncio.create_subprocess_exec("true")

    with pytest.raises(ProgramFault, match="subprocess_exec") as raised:
        run(main())
    assert raised.value.subject == f"{__file__}:{main.__code__.co_firstlineno + 1}"


def test_a_call_from_another_thread_ends_the_run_and_the_call():
    raised = []

    def call(loop):
        try:
            loop.call_soon_threadsafe(print)
        except ProgramFault as fault:
            raised.append(fault)

    async def main():
        foreign = threading.Thread(target=call, args=(asyncio.get_running_loop(),))
        foreign.start()
        foreign.join()
        await asyncio.sleep(10)

    with loop_of() as loop, pytest.raises(ProgramFault, match="another thread"):
        loop.run_until_complete(main())
    assert len(raised) == 1
    with loop_of() as loop:
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()


def test_it_is_an_event_loop_like_others():
    with asyncio.Runner(loop_factory=lambda: SimLoop(SeededChoices(1), Trace())) as runner:
        assert runner.run(after(1, "value")) == "value"
        assert runner.get_loop().is_running() is False
    loop = SimLoop(SeededChoices(1), Trace())
    loop.call_later(1, loop.stop)
    with pytest.raises(RuntimeError, match="stopped before"):
        loop.run_until_complete(loop.create_future())
    loop.close()
    loop.close()
    assert loop.is_closed()
    for forbidden in (lambda: loop.call_soon(print), loop.run_forever):
        with pytest.raises(RuntimeError, match="closed"):
            forbidden()


def test_a_loop_inside_a_loop_is_refused():
    async def main():
        inner = SimLoop(SeededChoices(1), Trace())
        try:
            inner.run_forever()
        finally:
            inner.close()

    with pytest.raises(RuntimeError, match="another loop is running"):
        run(main())


def test_the_garbage_collector_is_as_it_was_afterwards():
    collected = []

    async def main():
        collected.append(gc.isenabled())

    before = gc.get_freeze_count()
    run(main())
    assert collected == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_task_factories_are_used():
    with loop_of() as loop:
        made = []

        def factory(loop, coro, **options):
            made.append(coro.__name__)
            return asyncio.Task(coro, loop=loop, **options)

        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        assert loop.run_until_complete(after(1, "value")) == "value"
    assert made == ["after"]
