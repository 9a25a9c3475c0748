"""Which format each tensor gets: ordered patterns, and llama.cpp's file types as rules."""

from bitwright.recipes.file_types import FILE_TYPES
from bitwright.recipes.files import check_name, dumps, find, load, read_tensor_types, save, write_tensor_types
from bitwright.recipes.pattern import Pattern
from bitwright.recipes.recipe import Assignment, Recipe, fallbacks
from bitwright.recipes.rules import Shape

__all__ = [
    "FILE_TYPES",
    "Assignment",
    "Pattern",
    "Recipe",
    "Shape",
    "check_name",
    "dumps",
    "fallbacks",
    "find",
    "load",
    "read_tensor_types",
    "save",
    "write_tensor_types",
]
