"""The fence names the user's line for what brings the real world in, lets everything else be, and leaves no trace."""

from __future__ import annotations

import asyncio
import builtins
import functools
import importlib
import logging
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid

import pytest

from holdfast import Engine
from holdfast.errors import ProgramFault
from holdfast.simulation.kernel.fence import fenced

from .loops import run

HEAD = """
import asyncio, datetime, functools, logging, os, random, secrets, signal, subprocess, threading, time, uuid
import datetime as dt, random as dice
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime as Moment
from os import urandom
from random import Random, choice
from time import sleep as pause, time as now
from uuid import uuid4
import socket, tempfile, urllib.request

class Rule:
    def resolve(self, conflict):
        return now()

class Worker(threading.Thread):
    pass
"""

FORBIDDEN = {
    "time.time()": "time.time",
    "now()": "time.time",
    "time.monotonic()": "time.monotonic",
    "time.sleep(0)": "time.sleep",
    "pause(0)": "time.sleep",
    "time.localtime()": "time.localtime",
    "time.strftime('%Y')": "time.strftime",
    "datetime.datetime.now()": "datetime.datetime.now",
    "dt.date.today()": "datetime.date.today",
    "Moment.now(datetime.UTC)": "datetime.datetime.now",
    "Moment.utcnow()": "datetime.datetime.utcnow",
    "date.today()": "datetime.date.today",
    "random.random()": "random.random",
    "dice.shuffle([1, 2])": "random.shuffle",
    "choice([1, 2])": "random.choice",
    "random.seed(3)": "random.seed",
    "Random()": "random.Random",
    "random.SystemRandom()": "random.SystemRandom",
    "secrets.token_hex()": "secrets.token_hex",
    "uuid.uuid4()": "uuid.uuid4",
    "uuid4()": "uuid.uuid4",
    "os.urandom(4)": "os.urandom",
    "urandom(4)": "os.urandom",
    "list(map(pause, [0]))": "time.sleep",
    "functools.partial(time.sleep, 0)()": "time.sleep",
    "__import__('time').time()": "time.time",
    "os.system('true')": "os.system",
    "signal.signal(2, signal.SIG_DFL)": "signal.signal",
    "subprocess.run(['true'])": "subprocess.Popen",
    "threading.Thread(target=print).start()": "threading.Thread.start",
    "Worker().start()": "threading.Thread.start",
    "threading.Timer(0, print).start()": "threading.Thread.start",
    "ThreadPoolExecutor().submit(print)": "threading.Thread.start",
    "threading.Event().wait(0.01)": "threading.Event.wait",
    "socket.socket()": "socket.socket",
    "socket.create_connection(('127.0.0.1', 9))": "socket.socket",
    "urllib.request.urlopen('http://127.0.0.1:9')": "socket.socket",
}

ALLOWED = [
    "time.gmtime(0).tm_year == 1970",
    "time.strftime('%Y', time.gmtime(0)) == '1970'",
    "datetime.datetime(2026, 1, 2) < Moment.fromisoformat('2026-01-03')",
    "isinstance(Moment(2026, 1, 2), Moment) and isinstance(Moment(2026, 1, 2), datetime.date)",
    "type(Moment.fromtimestamp(0, dt.UTC)).__name__ == 'datetime'",
    "issubclass(Moment, date) and date(2026, 1, 2).year == 2026",
    "Random(7).random() == random.Random(7).random() and isinstance(Random(1), random.Random)",
    "uuid.UUID(int=1).int == uuid.uuid5(uuid.UUID(int=1), 'x').int * 0 + 1",
    "os.path.join('a', 'b') == os.sep.join('ab')",
    "logging.getLogger('fence').isEnabledFor(50) or True",
    "logging.makeLogRecord({}).created > 0",
    "tempfile.gettempdir() != ''",
    "'sleep' in dir(time) and threading.Lock().acquire()",
]


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Makes modules of a user: gives a function that imports source under a name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def module(source, name="userapp"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEAD + textwrap.dedent(source))
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name.replace("/", "."))

    yield module
    for name in list(sys.modules):
        if name.partition(".")[0] in {one.partition("/")[0] for one in made}:
            del sys.modules[name]


@pytest.mark.parametrize(("call", "name"), FORBIDDEN.items())
def test_what_brings_the_real_world_in_is_refused_with_the_line(user, call, name):
    app = user(f"def program():\n    x = 1\n    return {call}\n")
    with fenced([app.program]) as fence, pytest.raises(ProgramFault, match=f"called {name}") as raised:
        app.program()
    assert raised.value.subject == f"{app.__file__}:{app.program.__code__.co_firstlineno + 2}"
    assert fence.faults == [raised.value]


@pytest.mark.parametrize("call", ALLOWED)
def test_what_follows_from_its_arguments_and_what_python_does_itself_is_let_through(user, call):
    app = user(f"def program():\n    return {call}\n")
    with fenced([app.program]) as fence:
        assert app.program()
    assert fence.faults == []


@pytest.mark.parametrize("imports", ["import time", "from time import sleep", "import time as clock, os"])
def test_imports_inside_functions_are_seen(user, imports):
    call = {"import time": "time.sleep", "from time import sleep": "sleep"}.get(imports, "clock.sleep")
    app = user(f"def program():\n    {imports}\n    {call}(0)\n")
    with fenced([app.program]), pytest.raises(ProgramFault, match=r"time\.sleep"):
        app.program()


def test_functions_that_a_program_hands_to_a_thread_are_blamed_on_the_line_that_took_them(user):
    app = user("async def program():\n    await asyncio.to_thread(time.sleep, 0)\n")
    with fenced([app.program]), pytest.raises(ProgramFault, match=r"time\.sleep") as raised:
        run(app.program())
    assert raised.value.subject == f"{app.__file__}:{app.program.__code__.co_firstlineno + 1}"


def test_modules_of_the_same_package_and_folder_are_fenced_and_others_are_not(user):
    user("", "shop/__init__")
    helper = user("def helper():\n    return now()\n", "shop/models")
    app = user("from shop.models import helper\ndef program():\n    return helper()\n", "shop/programs")
    beside = user("def other():\n    return now()\n", "elsewhere")
    with fenced([app.program]), pytest.raises(ProgramFault) as raised:
        app.program()
    assert raised.value.subject.startswith(helper.__file__)
    with fenced([app.program]):
        assert beside.other() > 0
    flat = user("def program():\n    return elsewhere.other()\nimport elsewhere\n", "flat")
    with fenced([flat.program]), pytest.raises(ProgramFault):
        flat.program()


@pytest.mark.parametrize("form", ["class", "object", "method", "partial", "module"])
def test_resolvers_and_other_callables_are_fenced_in_every_form(user, form):
    app = user("")
    rule = app.Rule()
    given = {
        "class": app.Rule,
        "object": rule,
        "method": rule.resolve,
        "partial": functools.partial(rule.resolve, None),
        "module": app,
    }[form]
    with fenced([given]), pytest.raises(ProgramFault):
        rule.resolve(None)


def test_a_fault_is_known_even_if_somebody_catches_it(user):
    app = user("def program():\n    try:\n        now()\n    except Exception:\n        return 'swallowed'\n")
    with fenced([app.program]) as fence:
        assert app.program() == "swallowed"
    assert len(fence.faults) == 1


def test_the_engine_and_pythons_library_are_never_stopped(user, tmp_path):
    app = user("""
        def program(call):
            return call()

        async def writing(opened):
            async with opened as engine:
                await engine["notes"].put("k", {"n": 1})
                return (await engine["notes"].get("k")).fields
    """)
    with fenced([app.program]) as fence:
        assert app.program(uuid.uuid4)
        assert app.program(tempfile.mkdtemp)
        assert app.program(functools.partial(logging.makeLogRecord, {}))
        started = threading.Thread(target=int)
        started.start()
        started.join()
        with socket.socket():
            pass
        subprocess.run([sys.executable, "-c", ""], check=True)
        # The real storage: real threads, the real clock, real entropy, all on behalf of the program.
        assert asyncio.run(app.writing(Engine.open(tmp_path / "a.db"))) == {"n": 1}
    assert fence.faults == []


def test_programs_of_holdfast_itself_fence_nothing():
    with fenced([fenced, asyncio.sleep, len]) as fence:
        threading.Event().wait(0.001)
    assert fence.faults == []


def everything(app):
    return (
        dict(vars(app)),
        builtins.__import__,
        *(
            vars(owner).get(name)
            for owner, name in [
                (threading.Thread, "start"),
                (threading.Event, "wait"),
                (subprocess.Popen, "__init__"),
                (socket.socket, "__init__"),
            ]
        ),
    )


def test_everything_is_as_it_was_afterwards(user):
    app = user("def program():\n    global time\n    time = 5\n")
    before = everything(app)
    with fenced([app.program]), fenced([app.program]):
        assert everything(app) != before
    assert everything(app) == before
    with pytest.raises(LookupError), fenced([app.program]):
        raise LookupError
    assert everything(app) == before
    with fenced([app.program]):
        app.program()
    assert app.time == 5
    assert everything(app)[1:] == before[1:]
