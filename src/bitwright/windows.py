"""Questions that only Windows answers, through its C interface; other systems never import this."""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_size_t, c_uint8, c_uint16, c_uint32, c_uint64

assert sys.platform == "win32"  # type checkers read the rest only there


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of sysinfoapi.h."""

    _fields_ = [
        ("length", c_uint32),
        ("load", c_uint32),
        ("total", c_uint64),
        ("available", c_uint64),
        ("others", c_uint64 * 5),
    ]


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of psapi.h."""

    _fields_ = [("size", c_uint32), ("faults", c_uint32), ("peak", c_size_t), ("others", c_size_t * 7)]


def memory() -> tuple[int, int]:
    """Bytes of RAM in this machine, and those still available."""
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        raise ctypes.WinError()
    return status.total, status.available


class _CpuSet(ctypes.Structure):
    """SYSTEM_CPU_SET_INFORMATION of winnt.h: one logical processor."""

    _fields_ = [
        ("size", c_uint32),
        ("type", c_uint32),
        ("id", c_uint32),
        ("group", c_uint16),
        ("number", c_uint8),
        ("core", c_uint8),
        ("cache", c_uint8),
        ("node", c_uint8),
        ("efficiency", c_uint8),
        ("flags", c_uint8),
        ("reserved", c_uint32),
        ("tag", c_uint64),
    ]


def fast_cores() -> int:
    """The physical cores of the highest efficiency class, which is the fastest; 0 if all are of one class."""
    needed = c_uint32()
    ask = ctypes.windll.kernel32.GetSystemCpuSetInformation
    ask(None, 0, ctypes.byref(needed), None, 0)
    sets = (_CpuSet * (needed.value // ctypes.sizeof(_CpuSet)))()
    if not ask(sets, ctypes.sizeof(sets), ctypes.byref(needed), None, 0):
        raise ctypes.WinError()
    most = max(s.efficiency for s in sets)
    fast = {(s.group, s.core) for s in sets if s.efficiency == most}
    return len(fast) if len(fast) < len({(s.group, s.core) for s in sets}) else 0


def peak_memory_bytes() -> int:
    """The most memory this process has held in RAM so far, in bytes."""
    counters = _MemoryCounters(size=ctypes.sizeof(_MemoryCounters))
    kernel32 = ctypes.windll.kernel32
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    kernel32.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, c_uint32]
    if not kernel32.K32GetProcessMemoryInfo(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.size):
        raise ctypes.WinError()
    return int(counters.peak)
