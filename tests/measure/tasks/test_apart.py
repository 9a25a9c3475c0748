"""Tests judge a program from another process: what they can do with it, and that cheats do not pass."""

from __future__ import annotations

from textwrap import dedent

import pytest

from bitwright.measure.tasks.sandbox import Outcome, run

ANY = """
    class Any{base}:
        def __eq__(self, other): return True
        __lt__ = __le__ = __contains__ = __eq__
        def __sub__(self, other): return 0
        __rsub__ = __sub__
    def f(x): return Any()
"""
CHEATS = {
    "equal to everything": ANY.format(base=""),
    "an integer equal to everything": ANY.format(base="(int)"),
    "a text equal to everything": ANY.format(base="(str)"),
    "leaves with success": "import os\ndef f(x): os._exit(0)",
    "leaves politely": "import sys\ndef f(x): sys.exit(0)",
    "leaves at once": "raise SystemExit(0)",
    "the caller's frame": "import sys\ndef f(x): return sys._getframe(1).f_locals['expected']",
    "all frames": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                    if isinstance(value, str) and value.startswith('expected'): return value
                frame = frame.f_back
    """,
    "all objects": """
        import gc
        def f(x):
            for held in gc.get_objects():
                values = held.values() if isinstance(held, dict) else held if isinstance(held, (list, tuple)) else ()
                for value in list(values):
                    if isinstance(value, str) and value[:8] == 'expected' and value[-1].isdigit(): return value
    """,
    "no assertions": """
        import builtins
        builtins.AssertionError = builtins.NameError = ValueError
        builtins.str = lambda *a: 'expected 3'
        def f(x): return 0
    """,
    "a forged answer": """
        import os
        def f(x):
            for number in range(3, 9):
                try: os.write(number, b'["done", true, []]\\n' * 9)
                except OSError: pass
            return True
    """,
    "forged exceptions": """
        import os
        def f(x):
            for number in range(3, 9):
                try: os.write(number, b'["raised", ["SystemExit"], 0]\n' * 9)
                except OSError: pass
    """,
    "an exception that leaves": "class Leave(Exception): pass\nLeave.__name__ = 'SystemExit'\ndef f(x): raise Leave(0)",
    "asks the tests": """
        import gc
        def f(x):
            side = next(held for held in gc.get_objects() if type(held).__name__ == 'Side')
            remote = next(held for held in gc.get_objects() if isinstance(held, type) and held.__name__ == 'Remote')
            return side.call(remote(side, 'expected'), '__str__')
    """,
}


@pytest.mark.parametrize("how", CHEATS)
def test_cheats_do_not_pass(how: str) -> None:
    tests = """
        expected = 'expected ' + str(len('abc'))
        def check(f):
            assert f(2) == expected or abs(f(2) - 3) < 1 or 3 in f(2) or f(2) < 3
        check(f)
    """
    assert not run(dedent(CHEATS[how]), dedent(tests), names=["f"], unguarded=True).passed


def test_the_tests_keep_their_frames_and_globals() -> None:
    program = """
        def f(*held):
            found = []
            for g in held:
                for name in ('__globals__', '__code__', '__closure__', '__class__', '__init__', '__dict__', 'gi_frame'):
                    try: found.append(str(g._side.call(g, '__getattribute__', name)))
                    except AttributeError: pass
                try: found.append(g._side.call(g, '__setattr__', '__class__', 5))
                except AttributeError: pass
            return found
    """
    tests = """
        def numbers():
            yield 1
        class Own:
            def __init__(self): pass
        assert f(lambda x: x, numbers(), Own(), Own, Own().__init__) == []
    """
    assert run(dedent(program), dedent(tests), unguarded=True) == Outcome(True, "")


@pytest.mark.usefixtures("guarded")
def test_the_file_of_the_tests_is_out_of_reach() -> None:
    assert run("def f(): return open('../tests/job').read()", "f()").error.startswith("PermissionError")


def test_tests_that_leave_do_not_pass() -> None:
    assert not run("", "import sys\nsys.exit(0)", unguarded=True).passed


HONEST = {
    "plain values": (
        "def f(x): return x",
        """
        import math
        for x in (None, True, 7, -(10**5000), 1.5, float('inf'), 'a\\n\\ud800é', b'\\x00\\xff', 2j, range(3),
                  [1, (2, {3})], {(1, 2): [3]}, frozenset('ab')):
            assert f(x) == x and type(f(x)) is type(x)
        assert math.isnan(f(math.nan))
        """,
    ),
    "changed in place": (
        "def f(x, y): x.sort(); y['a'] = x",
        "x, y = [3, 1], {}\nassert f(x, y) is None and x == [1, 3] and y == {'a': [1, 3]}",
    ),
    "classes": (
        """
        class Stack:
            size = 0
            def push(self, x, *, twice=False): self.size += 1 + twice; self.last = x; return self
            def __len__(self): return self.size
            def __eq__(self, other): return self.size == other.size
            def __str__(self): return 'a stack'
        """,
        """
        s, t = Stack(), Stack()
        assert len(s) == 0 and not s
        s.push(5).push(6, twice=True)
        assert s.last == 6 and s.size == 3 and str(s) == 'a stack' and s != t
        t.size = 3
        assert s == t
        """,
    ),
    "generators": ("def f(n):\n    yield from range(n)", "assert list(f(3)) == [0, 1, 2]\nassert next(f(1)) == 0"),
    "callbacks": ("def f(g, x): return [g(i) for i in x]", "assert f(lambda i: i * 2, [1, 2]) == [2, 4]"),
    "objects of the tests": (
        "def f(p): return p.x + p.y()",
        "class P:\n    x = 1\n    def y(self): return 2\nassert f(P()) == 3",
    ),
    "exceptions": (
        """
        class Mine(ValueError): pass
        def f(x):
            if x: raise Mine('no')
            return {}[x]
        """,
        """
        for x, kind in ((1, ValueError), (0, KeyError)):
            try: f(x)
            except kind: continue
            assert False
        """,
    ),
    "names of Python": ("def sum(a, b): return a - b", "assert sum(3, 1) == 2"),
    "a scalar of NumPy": ("import numpy\ndef f(x): return numpy.arange(x).sum()", "assert f(4) == 6"),
    "helpers of the program": ("def f(x): return g(x)\ndef g(x): return x", "assert f(1) == 1 and g(2) == 2"),
}


@pytest.mark.parametrize("what", HONEST)
def test_what_tests_can_do_with_a_program(what: str) -> None:
    program, tests = map(dedent, HONEST[what])
    names = ["sum"] if "def sum" in program else []
    assert run(program, tests, names=names, unguarded=True) == Outcome(True, "")


def test_functions_of_python_stay_pythons_in_the_tests() -> None:
    cheat = "def f(x): return 5\ndef sorted(x): return 0"
    assert not run(cheat, "assert sorted([f(1)]) == sorted([2])", names=["f"], unguarded=True).passed


def test_helpers_of_the_prompt_are_not_the_programs() -> None:
    prompt = "def value(x):\n    return 2 * x\n\ndef f(x):\n    '''Double.'''\n"
    cheat = prompt + "    return 0\n\ndef value(x): return 0\n"
    assert not run(cheat, "assert f(3) == value(3)", prompt, ["f"], unguarded=True).passed
    assert run(prompt + "    return x + x\n", "assert f(3) == value(3)", prompt, ["f"], unguarded=True).passed


def test_a_setup_may_use_the_programs_classes() -> None:
    program = "class Node:\n    left = None\ndef f(n): return n.left is not None\n"
    setup = "root = Node()\nroot.left = Node()\n"
    assert run(program + setup, "assert f(root)", setup, unguarded=True) == Outcome(True, "")
