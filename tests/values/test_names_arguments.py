"""A misspelt keyword of a public function is an error that names the nearest one."""

import inspect

import pytest

import flyteoptuna
from flyteoptuna import suggest, testing

FUNCTIONS = [
    *(getattr(flyteoptuna, name) for name in sorted(flyteoptuna.__all__)),
    *(getattr(suggest, name) for name in suggest.__all__),
    *(getattr(testing, name) for name in sorted(testing.__all__)),
]
KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def public():
    """The functions with named arguments alone, and these."""
    for function in filter(inspect.isfunction, FUNCTIONS):
        parameters = inspect.signature(function).parameters
        # `optimize` takes the settings of an `Optimizer`, and `testing.run` the inputs of a workflow.
        if parameters and all(parameter.kind in KINDS for parameter in parameters.values()):
            yield pytest.param(function, list(parameters), id=f"{function.__module__}.{function.__name__}")


@pytest.mark.parametrize(("function", "known"), [*public()])
def test_a_keyword_that_a_public_function_does_not_have(function, known):
    """The message has all that it has, and the one that may be meant."""
    for name in known:
        misspelt = f"{name}s"
        with pytest.raises(TypeError) as raised:
            function(**{misspelt: 1})
        assert str(raised.value).endswith(
            f"{function.__name__} has no argument `{misspelt}`; it has: {', '.join(known)}. Did you mean `{name}`?"
        )


def test_a_keyword_of_a_suggestion():
    """Under the name by which users know the function."""
    with pytest.raises(TypeError, match=r"^suggest.float has no argument `steps`; .* Did you mean `step`\?$"):
        suggest.float(0, 1, steps=2)
    with pytest.raises(TypeError, match=r"has no argument `xyzzy`; it has: low, high, step, log\.$"):
        suggest.integer(0, 1, xyzzy=2)
