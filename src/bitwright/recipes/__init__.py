"""Which format each tensor gets: recipes, and llama.cpp's file types as rules."""

from bitwright.recipes.recipe import Assignment, Override, Recipe, recipes
from bitwright.recipes.rules import Shape

__all__ = ["Assignment", "Override", "Recipe", "Shape", "recipes"]
