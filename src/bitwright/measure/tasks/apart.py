"""The two sides of a test, each in a jail: `apart.py program` and `apart.py tests`, started by `sandbox`.

The side of the program runs what a model wrote, then the calls that arrive. The side of the tests reads `job`, has the
program run, runs the tests, and exits with 0 if they pass. So a program never holds its tests, the values they expect,
or their frames: it passes only by giving the right values.

Names that the tests use and do not define are `Remote`. Calls travel as lines of JSON through two pipes. Plain data is
copied, and lists, dicts and sets that a call changes are changed in the caller too; anything else stays where it is,
and the other side gets a Remote. No Remote equals a plain value, whatever its class claims.
"""

import ast
import builtins
import json
import operator
import os
import sys
import types
from pathlib import Path
from typing import Any

OPERATIONS: dict[str, Any] = {
    "__call__": lambda function, *args, **named: function(*args, **named),
    "__getattribute__": getattr,
    "__setattr__": setattr,
    **{f"__{known.__name__}__": known for known in (operator.eq, operator.getitem, operator.setitem)},
    **{f"__{known.__name__}__": known for known in (bool, iter, len, next, repr, str)},
}
CONTAINERS: dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}
ATTRIBUTES = ("__getattribute__", "__setattr__")
CHANGING = (list, dict, set)


class Remote:
    """Something on the other side. It has no arithmetic and no order, which a class could use to please every test."""

    def __init__(self, side: "Side", handle: int | str) -> None:
        self._side, self._handle = side, handle

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._side.call(self, "__getattribute__", name)

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._side.call(self, "__setattr__", name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self._side.call(self, "__eq__", other) is True


def _forward(operation: str) -> Any:
    return lambda self, *args, **named: self._side.call(self, operation, *args, **named)


for name in OPERATIONS.keys() - vars(Remote).keys() - {"__getattribute__"}:
    setattr(Remote, name, _forward(name))


class Side:
    """One end of the pipes: sends calls, and answers those that arrive while it waits.

    The other end may name `objects` by number (those it was sent) and `names`; without names, nothing but what classes
    of this side's own code offer has attributes, so that frames and globals stay here.
    """

    def __init__(self, objects: list[Any], names: dict[str, Any] | None = None) -> None:
        self.objects, self.names = objects, names
        self.reader, self.writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        for standard in (0, 1):  # what is printed goes nowhere
            os.dup2(os.open(os.devnull, os.O_RDWR), standard)

    def call(self, target: Remote, operation: str, *args: Any, **named: Any) -> Any:
        """The result of an operation on the other side. Raises the exception that it raised."""
        self.send("call", self.plain(target), operation, self.plain(args), self.plain(named))
        while (message := self.receive())[0] == "call":
            self.answer(*message[1:])
        if message[0] == "raised":
            raise _error(*message[1:])
        for before, after in zip(args, message[2], strict=True):
            if isinstance(before, CHANGING) and before != (now := self.value(after)):
                _change(before, now)
        return self.value(message[1])

    def answer(self, target: Any, operation: str, args: Any, named: Any) -> None:
        """Do what the other side asks; send the result or the exception."""
        try:
            what, values = self.value(target), self.value(args)
            own = type(what).__module__ == "__main__" and not str([*values, ""][0]).startswith("_")
            if self.names is None and operation in ATTRIBUTES and not own:
                raise AttributeError(f"{type(what).__name__} of the tests has no attributes here")
            result = self.plain(OPERATIONS[operation](what, *values, **self.value(named)))
            changed = [self.plain(value) if isinstance(value, CHANGING) else None for value in values]
            self.send("done", result, changed)
        except Exception as error:
            self.send("raised", [kind.__name__ for kind in type(error).__mro__], str(error))

    def send(self, *message: Any) -> None:
        """Write one line; if the other side has ended, `receive` says so."""
        try:
            self.writer.write(json.dumps(message).encode() + b"\n")
            self.writer.flush()
        except BrokenPipeError:
            pass

    def receive(self) -> list[Any]:
        """Read one line; end if the other side has ended."""
        line = self.reader.readline()
        if not line:
            sys.exit("exited before its last line")
        found: list[Any] = json.loads(line)
        return found

    def plain(self, value: Any) -> Any:
        """A value for JSON: subclasses of plain classes as these, objects as their number."""
        if isinstance(value, Remote):
            return ["yours", value._handle]
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            value = value.item()  # a scalar of NumPy
        if value is None or isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 1 << 64):
            return value
        if isinstance(value, int):
            return ["int", hex(value)]
        if isinstance(value, bytes | bytearray):
            return ["bytes", value.decode("latin-1")]
        if isinstance(value, complex):
            return ["complex", value.real, value.imag]
        if isinstance(value, range):
            return ["range", value.start, value.stop, value.step]
        if isinstance(value, dict):
            return ["dict", *([self.plain(key), self.plain(item)] for key, item in value.items())]
        for name, kind in CONTAINERS.items():
            if isinstance(value, kind):
                return [name, *map(self.plain, value)]
        self.objects.append(value)
        return ["mine", len(self.objects) - 1]

    def value(self, data: Any) -> Any:
        """What `plain` of the other side stands for."""
        if not isinstance(data, list):
            return data
        name, *rest = data
        if name in CONTAINERS:
            return CONTAINERS[name](map(self.value, rest))
        if name == "dict":
            return {self.value(key): self.value(item) for key, item in rest}
        if name == "mine":
            return Remote(self, rest[0])
        if name == "yours" and isinstance(rest[0], int):
            return self.objects[rest[0]]
        if name == "yours":
            return _named(self.names or {}, rest[0])
        kinds: dict[str, Any] = {"bytes": lambda text: text.encode("latin-1"), "complex": complex, "range": range}
        return int(rest[0], 16) if name == "int" else kinds[name](*rest)


def _named(names: dict[str, Any], name: str) -> Any:
    if name not in names:
        raise NameError(f"name {name!r} is not defined")
    return names[name]


def _error(names: list[str], text: str) -> Exception:
    """An exception of the built-in class that is nearest to the other side's."""
    known: dict[str, type[Exception]] = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
    kind = next((known[name] for name in names if name in known and issubclass(known[name], Exception)), Exception)
    try:
        return kind(text if kind.__name__ == names[0] else f"{names[0]}: {text}")
    except TypeError:  # a class that needs more than a text, such as UnicodeDecodeError
        return RuntimeError(f"{names[0]}: {text}")


def _change(value: Any, now: Any) -> None:
    if isinstance(value, list):
        value[:] = now
    else:
        value.clear()
        value.update(now)


def _new_main() -> dict[str, Any]:
    """The names of a new and empty module __main__."""
    sys.modules["__main__"] = types.ModuleType("__main__")
    return vars(sys.modules["__main__"])


def program() -> None:
    """Answer calls for ever; object 0 runs code."""
    names = _new_main()
    side = Side([lambda code: exec(compile(code, "program", "exec"), names)], names)
    while True:
        side.answer(*side.receive()[1:])


def tests() -> None:
    """Run the tests of `job`: {"program", "setup" (code both sides run), "tests", "names" that are the program's}."""
    job = json.loads(Path("job").read_text(encoding="utf-8"))
    names, side = _new_main(), Side([])
    run: Any = Remote(side, 0)
    run(job["program"])
    nodes = ast.walk(ast.parse(f"{job['setup']}\n{job['tests']}"))
    used = {node.id for node in nodes if isinstance(node, ast.Name)} - names.keys() - vars(builtins).keys()
    names |= {name: Remote(side, name) for name in used}
    exec(compile(job["setup"], "setup", "exec"), names)
    names |= {name: Remote(side, name) for name in job["names"]}
    try:
        exec(compile(job["tests"], "tests", "exec"), names)
        run("")  # it is still there
    except SystemExit as error:  # nothing but the last line ends with 0
        sys.exit(error.code or "exited before its last line")


if __name__ == "__main__":
    {"program": program, "tests": tests}[sys.argv[1]]()
