"""Optuna's own tests of samplers, which it publishes for samplers of others."""

import pytest

from flyteoptuna import BatchSampler

suite = pytest.importorskip("optuna.testing.pytest_samplers", reason="Optuna publishes these tests since 4.8")


class _Ours:
    @pytest.fixture(params=[lambda: BatchSampler(), lambda: BatchSampler(0)], ids=["no seed", "a seed"])
    def sampler(self, request):
        return request.param


class TestBasic(_Ours, suite.BasicSamplerTestCase):
    pass


class TestRelative(_Ours, suite.RelativeSamplerTestCase):
    pass


class TestMultiObjective(_Ours, suite.MultiObjectiveSamplerTestCase):
    pass
