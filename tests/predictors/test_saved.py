import json

import numpy as np
import pytest

from hwnas.errors import ProfileError, SpecError
from hwnas.predictors import LatencyPredictor
from hwnas.predictors.residual import Residual
from hwnas.predictors.saved import read_saved
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags


@pytest.fixture(scope="module")
def text(measured):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_PROFILES", str(measured))
        records = DeviceProfile.open("sim").read()
    predictor = LatencyPredictor().fit(records, profiled_bags(records, "simulated"))
    return json.dumps(predictor.to_json())


@pytest.fixture
def path(tmp_path):
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine" / "predictor.json"


def places(value, place=()):
    """Places of all that stands in a value, of lists and of long objects the first item."""
    yield place
    if isinstance(value, dict):
        for key in list(value)[: 1 if len(value) > 12 else None]:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*place, 0))


def test_a_file_as_it_was_saved_is_read(path, text):
    path.write_text(text)
    assert read_saved(path) == read_saved(str(path)) == json.loads(text)


def test_whatever_stands_in_a_wrong_place_is_an_error_that_names_it(path, text):
    whole = json.loads(text)
    optional = {"fitted_on", "line", "trees", "cost", "common"}
    for place in list(places(whole))[1:]:
        for wrong in (float("nan"), float("inf"), True, "1", [[[]]], {"a": {}}, None):
            value = json.loads(text)
            holder = value
            for step in place[:-1]:
                holder = holder[step]
            if wrong is None and place[-1] in optional:
                continue
            if wrong == "1" and isinstance(holder[place[-1]], str):
                continue
            if wrong == "1" and place[-1] in optional - {"line", "cost", "common"}:
                continue
            holder[place[-1]] = wrong
            path.write_text(json.dumps(value))
            with pytest.raises(ProfileError, match="'hwnas fit mine'") as caught:
                LatencyPredictor.load(path)
            if isinstance(place[-1], str) and not isinstance(wrong, float):
                assert place[-1] in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, 1e400, 1e10, "0.1", True, None])
def test_a_price_is_a_time_above_nothing(path, text, value):
    for change in (
        lambda whole: whole.update(call_ms=value),
        lambda whole: whole["blocks_ms"].update(x=value),
        lambda whole: whole["kernels"]["table"].update(x=value),
    ):
        whole = json.loads(text)
        change(whole)
        path.write_text(json.dumps(whole).replace("Infinity", "1e400"))
        with pytest.raises(ProfileError, match="must be a time above 0 and at most"):
            LatencyPredictor.load(path)


def test_vectors_of_another_length_and_missing_fields(path, text):
    whole = json.loads(text)
    whole["model_residual"]["novelty"]["centre"].pop()
    path.write_text(json.dumps(whole))
    with pytest.raises(ProfileError, match=r"model_residual.novelty.centre must be a list of \d+"):
        LatencyPredictor.load(path)
    whole = json.loads(text)
    del whole["doubt"]["usual"]
    path.write_text(json.dumps(whole))
    with pytest.raises(ProfileError, match="doubt.usual is missing"):
        LatencyPredictor.load(path)


@pytest.mark.parametrize(
    "content", ["", "null", "[]", '"a"', "3", "\0", "[" * 100000, '{"a":' * 100000, "{}"]
)
def test_files_that_are_no_predictor(path, content):
    path.write_text(content)
    with pytest.raises(ProfileError, match="is broken.*fit again with 'hwnas fit mine'"):
        LatencyPredictor.load(path)


@pytest.mark.parametrize(
    ("schema", "shown"), [("3", '"3"'), (99, "99"), (True, "true"), (3.0, "3.0")]
)
def test_another_schema_is_shown_as_it_stands(path, schema, shown):
    path.write_text(json.dumps({"schema": schema}))
    with pytest.raises(ProfileError, match=f"has schema {shown}, this hwnas knows 4"):
        LatencyPredictor.load(path)


@pytest.mark.parametrize("what", [None, 3, ["a"], np.zeros(2)])
def test_what_is_no_path(what):
    with pytest.raises(SpecError, match="loaded from the path of a file"):
        LatencyPredictor.load(what)


def test_a_residual_of_no_blocks_is_read_again(path, text):
    whole = json.loads(text)
    width = len(whole["block_residual"]["novelty"]["centre"])
    whole["block_residual"] = Residual().fit(np.zeros((0, width)), np.zeros(0)).to_json()
    path.write_text(json.dumps(whole))
    assert LatencyPredictor.load(path).to_json() == whole
