"""The event loop of a world: one thread, virtual time, and a schedule that is drawn.

Runs ordinary asyncio code on behalf of several nodes. Knows nothing of engines, networks or disks. Invariants: what
runs follows from the choices alone, not from addresses, hash seeds, names of tasks or real time; what belongs to a node
that was abandoned never runs again, not even to clean up.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from holdfast.errors import SimulationDeadlock, SimulationFault

from .agens import AsyncGenerators
from .blame import program_fault
from .choices import Choices, between
from .complaints import Complaints
from .graveyard import Graveyard, freeze
from .life import Awaited, Life, SimFuture, SimHandle, SimTask, current_life, current_node
from .refusals import Refusals
from .schedule import Schedule
from .trace import Trace
from .waiting import describe, never_waits

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EXECUTOR_US: Final = (50, 2_000)
"""How long work for a thread takes, unless the loop is made with other bounds."""

BUSY_STEPS_MAX: Final = 300_000
"""Steps without a moment in which nothing was ready: more than any work needs, so something spins."""

COLLECT_STEPS: Final = 20_000
"""Steps between two collections of garbage, which run finalisers and so must not come when memory happens to fill."""


class SimLoop(Complaints, Refusals):
    """An event loop in virtual time. Close it: until then it keeps the dead, and Python's old objects frozen.

    Args:
        choices: What decides the schedule and the delays of executors.
        trace: Where steps and complaints are written down.
        executor_us: Least and greatest virtual time that a function in an executor takes.

    Attributes:
        on_pause: Called now and then between two steps, for people who watch; it must not touch the world.
    """

    def __init__(self, choices: Choices, trace: Trace, *, executor_us: tuple[int, int] = EXECUTOR_US) -> None:
        super().__init__(trace)
        self._choices = choices
        self._executor_us = executor_us
        self._schedule = Schedule(choices)
        self._number = 0
        self._ran: list[int] = []
        self._thread = threading.get_ident()
        self._foreign: SimulationFault | None = None
        self._stopping = self._closed = False
        self._factory: Any = None
        self._lives: dict[str, Life] = {}
        self._running: SimHandle | None = None
        self._doomed: list[Life] = []
        self._tasks: WeakValueDictionary[int, SimTask[Any]] = WeakValueDictionary()
        self._generators = AsyncGenerators(self._end_generator)
        self._graveyard = Graveyard()
        self.on_pause: Callable[[], None] | None = None
        freeze()

    # ------------------------------------------------------------------------------------------------- nodes

    def spawn(self, node: str, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as part of a node; everything that it starts belongs to the node as well."""
        if node not in self._lives:
            self._lives[node] = Life(node)
        return self.create_task(coro, context=_context_of(self._lives[node]))

    def abandon(self, node: str) -> None:
        """Crash a node: nothing that was started in its present life runs any more, and nothing is cleaned up.

        Who waits for something of the node is not woken. A node that abandons itself ends with the step that is
        running. What is spawned under the name from now on is another life.
        """
        life = self._lives.pop(node, None)
        if life is not None and self._running is not None and self._running.life is life:
            self._doomed.append(life)
        elif life is not None:
            self._end(life)

    def hold(self, node: str) -> None:
        """Stop a node's process as SIGSTOP does: what is due waits; time goes on."""
        if node in self._lives:
            self._lives[node].held = True

    def release(self, node: str) -> None:
        """Let a stopped process go on."""
        life = self._lives.get(node)
        if life is not None and life.held:
            life.held = False
            waiting, life.waiting = life.waiting, []
            for handle in waiting:
                self._schedule.soon(handle)

    def _end(self, life: Life | None) -> None:
        if life is not None:
            life.alive = False
        for handle in self._schedule.drop(life):
            self._bury(handle)
        for task in self._pending():
            if task.life is life:
                task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio does itself
                self._graveyard.keep(task)
        for generator in self._generators.of(life):
            self._graveyard.keep(generator)

    def _bury(self, handle: SimHandle) -> None:
        self._graveyard.keep((handle._callback, handle._args))  # noqa: SLF001 - a part of the loop
        handle.cancel()

    def _pending(self) -> list[SimTask[Any]]:
        return [task for _, task in sorted(self._tasks.items()) if not task.done()]

    # ---------------------------------------------------------------------------------------------- schedule

    @property
    def now_us(self) -> int:
        """Virtual microseconds since the world began."""
        return self._schedule.now_us

    @property
    def steps(self) -> int:
        """How many steps have run."""
        return self._schedule.steps

    def time(self) -> float:
        """Virtual seconds since the world began."""
        return self._schedule.now_us / 1_000_000

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in one of the next steps."""
        handle = self._handle(callback, args, context)
        if not handle.cancelled():
            self._schedule.soon(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback after some virtual seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback at a virtual moment."""
        # A moment that is to come must not round to the present: who waits for it in a loop would wait for ever.
        earliest = self.now_us + (when > self.time())
        return self._put_timer(max(round(when * 1_000_000), earliest), self._handle(callback, args, context))

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`, from the thread of the loop; another thread is a fault of who started it."""
        if threading.get_ident() != self._thread:
            self._foreign = program_fault(
                "another thread called into the simulation", "Leave threads to asyncio.to_thread, which runs in line."
            )
            raise self._foreign
        return self.call_soon(callback, *args, context=context)

    def _handle(self, callback: Any, args: tuple[Any, ...], context: Context | None) -> SimHandle:  # noqa: ANN401
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = SimHandle(callback, args, self._schedule, context if context is not None else copy_context())
        self._number = handle.number = self._number + 1
        if handle.life is not None and not handle.life.alive:
            self._bury(handle)
        return handle

    def _put_timer(self, when_us: int, handle: SimHandle) -> SimHandle:
        if not handle.cancelled():
            self._schedule.at(handle, when_us)
        return handle

    # ----------------------------------------------------------------------------------------------- running

    def run_forever(self) -> None:
        """Run until `stop`; raises SimulationDeadlock when nothing is left to happen."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if asyncio._get_running_loop() is not None:  # noqa: SLF001
            raise RuntimeError("Cannot run the event loop while another loop is running")
        collecting, hooks = gc.isenabled(), sys.get_asyncgen_hooks()
        gc.disable()
        sys.set_asyncgen_hooks(firstiter=self._generators.began, finalizer=self._generators.dropped)
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            while not self._stopping:
                self._step()
        finally:
            self._stopping = False
            self._flush()
            asyncio._set_running_loop(None)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)
            if collecting:
                gc.enable()

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until a future is done and give its result.

        Raises:
            SimulationDeadlock: It cannot be done any more: nothing is left to happen.
        """
        awaited: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type] # as asyncio
        awaited.add_done_callback(self._stop_after)
        try:
            self.run_forever()
        except BaseException:
            if awaited is not future:  # nobody else can look at it
                awaited._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001
            raise
        finally:
            awaited.remove_done_callback(self._stop_after)
        if not awaited.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return awaited.result()

    def _step(self) -> None:
        handle = self._schedule.take()
        if handle is None:
            raise self._deadlock("nothing is left to happen")
        if handle.cancelled():
            return
        self._running = handle
        self._ran.append(handle.number)
        if self.trace.steps:
            self.trace.add(self.now_us, handle.life.node if handle.life else "", "step", handle.label())
        try:
            handle._context.run(handle._callback, *handle._args)  # noqa: SLF001 - a part of the loop
        except (SystemExit, KeyboardInterrupt, SimulationFault):
            raise
        except BaseException as error:  # noqa: BLE001 - as in every event loop, the others go on
            self.call_exception_handler({"message": "a callback failed", "exception": error})
        finally:
            self._running = None
        if self._doomed or self._foreign is not None or len(self._ran) >= COLLECT_STEPS:
            self._between_steps()

    def _between_steps(self) -> None:
        while self._doomed:
            self._end(self._doomed.pop(0))
        if self._foreign is not None:
            raise self._foreign
        if len(self._ran) >= COLLECT_STEPS:
            self._flush()
            self._generators.sweep()
            gc.collect()
            if self.on_pause is not None:
                self.on_pause()
            busy = self._schedule.steps - self._schedule.idle_at
            if busy > BUSY_STEPS_MAX:
                what = f"{busy} steps ran and something was ready all the time"
                raise never_waits(self._schedule.ready(), what) or self._deadlock(what)

    def _flush(self) -> None:
        self.trace.ran(self._ran)
        self._ran.clear()

    def _deadlock(self, what: str) -> SimulationDeadlock:
        return SimulationDeadlock(
            f"{what}; waiting: {describe(self._pending())}",
            subject=f"the world at {self.time():.6f} s",
            remedy="Look for what should have woken or ended them.",
        )

    def _stop_after(self, _done: asyncio.Future[Any]) -> None:
        self.stop()

    def stop(self) -> None:
        """End `run_forever` after the running step."""
        self._stopping = True

    def is_running(self) -> bool:
        """Whether it runs now."""
        return asyncio._get_running_loop() is self  # noqa: SLF001

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """End the world: what still runs is abandoned, and all the dead are buried."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        for life in [*self._lives.values(), None]:
            self._end(life)
        self._closed = True
        self._lives.clear()
        self._graveyard.bury()
        gc.unfreeze()

    # --------------------------------------------------------------------------- tasks, functions, generators

    def create_future(self) -> SimFuture[Any]:
        """A future of this loop."""
        self._number += 1
        return SimFuture(self._number, loop=self)

    def create_task(self, coro: Awaited[T], **options: Any) -> asyncio.Task[T]:  # noqa: ANN401
        """Run a coroutine as a task; without a name it is called after its function and its number."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        task: asyncio.Task[T] = (self._factory or SimLoop._task)(self, coro, **options)
        return task

    def _task(
        self,
        coro: Awaited[T],
        *,
        context: Context | None = None,
        name: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> SimTask[T]:
        self._number = number = self._number + 1
        context = context if context is not None else copy_context()
        task = SimTask(number, coro, context.get(current_life), loop=self, context=context, name=name, **options)
        if name is None:
            task.set_name(f"{task.label}#{number}")
        self._tasks[number] = task
        return task

    def set_task_factory(self, factory: Any) -> None:  # noqa: ANN401
        """Make tasks with this function instead; such tasks hash by address, and a set of them has no fixed order."""
        self._factory = factory

    def get_task_factory(self) -> Any:  # noqa: ANN401
        """The function that makes tasks, if one was set."""
        return self._factory

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> SimFuture[T]:  # noqa: ANN401
        """Run a function whole, in one step, after a drawn delay; the executor is not used."""
        done: SimFuture[T] = self.create_future()
        life = current_life.get()
        delay_us = between(self._choices, f"executor:{life.node if life else ''}", *self._executor_us)
        self._put_timer(self.now_us + delay_us, self._handle(_settle, (done, func, args), None))
        return done

    def set_default_executor(self, executor: Any) -> None:  # noqa: ANN401
        """Accepted and not used: functions run in line."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Nothing to do: there is no executor."""

    async def shutdown_asyncgens(self) -> None:
        """End the async generators that are still open."""
        for generator in self._generators.everyone():
            await generator.aclose()

    def _end_generator(self, generator: Any, life: Life | None) -> None:  # noqa: ANN401
        """Close an async generator that living code has dropped half-way, as part of its node."""
        if not self._closed and (life is None or life.alive):
            self.call_soon(self.create_task, generator.aclose(), context=_context_of(life))


def _context_of(life: Life | None) -> Context:
    context = copy_context()
    context.run(current_life.set, life)
    context.run(current_node.set, life.node if life else "")
    return context


def _settle(done: SimFuture[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if done.done():
        return
    try:
        result = func(*args)
    except (SystemExit, KeyboardInterrupt):
        raise
    except StopIteration as error:  # a future cannot hold it
        failure = RuntimeError("a function in an executor raised StopIteration")
        failure.__cause__ = error
        done.set_exception(failure)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to who waits
        done.set_exception(error)
    else:
        done.set_result(result)
