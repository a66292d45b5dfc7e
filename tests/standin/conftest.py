"""These tests run where the stand-in driver is loaded: ``tests/test_standin.py`` starts such a run."""

import os

import pytest

if "NBCONV_STANDIN" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def gpu():
    """The first GPU of the stand-in driver, which has been asked for nothing yet and does not fail."""
    from standin import control

    control.heal()
    unit = control.gpu()
    unit.synchronize()
    control.clear()
    yield unit
    control.heal()
