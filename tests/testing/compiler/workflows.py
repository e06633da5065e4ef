"""Small workflows for the compiler's tests, sound ones and broken ones: ``CASES`` has all of them by name."""

from testing.compiler import bound, branches, calls, graphs, values, written
from testing.compiler.cases import CASES
from testing.compiler.protobufs import Parts

__all__ = ["CASES", "Parts", "bound", "branches", "calls", "graphs", "values", "written"]
