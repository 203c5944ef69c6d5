"""The small classifier and its data."""

from __future__ import annotations

import pytest
from evaluation_cases import OPTIONS, small_classifier, small_data, small_ganmex

import tf_ganmex as gx


@pytest.fixture(scope="module")
def clf():
    return small_classifier()


@pytest.fixture(scope="module")
def data(clf):
    return small_data(clf)


@pytest.fixture(scope="module")
def ganmex(clf):
    return small_ganmex(clf)


@pytest.fixture(scope="module")
def table(clf, data):
    """Everything at once, in memory."""
    return gx.evaluate(clf, data, **OPTIONS)
