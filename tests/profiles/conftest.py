import pytest

from hwnas.profiles import Observation


@pytest.fixture(scope="session")
def seen():
    """Makes an observation of a part in a session."""

    def make(key, session, quiet=1.0, **more):
        values = {
            "low_ms": quiet,
            "high_ms": quiet,
            "median_ms": quiet,
            "first_ms": 2.0,
            "build_ms": 3.0,
            "rounds": 10,
            "accepted": 9,
            "canary_ms": 0.5,
        }
        return Observation(key, session, quiet, **{**values, **more})

    return make
