import json

import pytest

from hwnas.errors import ProfileError
from hwnas.profiles import Device, DeviceProfile, Observation, Records

GOOD = {
    "key": "kernel:a",
    "session": "s0",
    "quiet_ms": 1.0,
    "low_ms": 0.9,
    "high_ms": 1.1,
    "median_ms": 1.2,
    "first_ms": 2.0,
    "build_ms": 3.0,
    "rounds": 10,
    "accepted": 9,
    "canary_ms": 0.5,
}
HEAD = ['{"schema":1}', '{"session":"s0","conditions":{"cpu":"x"}}']


@pytest.fixture
def profile(profiles):
    return DeviceProfile.create(Device("d"))


def write(profile, lines, end="\n"):
    payload = ("\n".join(lines) + end).encode() if isinstance(lines, list) else lines
    path = profile.folder / "measurements.jsonl"
    path.write_bytes(payload)
    return path


def altered(**changes):
    value = {**GOOD, **changes}
    return json.dumps({name: item for name, item in value.items() if item is not ...})


WRONG = {
    "no object": ("[1,2]", "not a JSON object"),
    "a conflict of git": ("<<<<<<< HEAD", "not JSON"),
    "closed and broken": ('{"key": oops}', "not JSON"),
    "nested without end": ("[" * 100000, "not JSON"),
    "half a character": (r'{"key":"\ud800","session":"s0","failure":"x"}', "not UTF-8"),
    "a number as key": (altered(key=1), "'key' must be a text, received 1"),
    "an empty key": (altered(key=""), "'key' must be a text"),
    "a time as text": (altered(quiet_ms="1"), "'quiet_ms' must be a positive time in ms"),
    "no time": (altered(quiet_ms=None), "'quiet_ms' must be a positive time"),
    "a time of nothing": (altered(quiet_ms=0), "'quiet_ms' must be a positive time"),
    "a negative time": (altered(cold_ms=-2.0), "'cold_ms' must be a time in ms, not negative"),
    "not a number": (altered(median_ms=float("nan")), "'median_ms' must be .* received NaN"),
    "infinity": (altered(canary_ms=float("inf")), "'canary_ms' must be .* received Infinity"),
    "beyond all floats": (altered(build_ms=10**400), "'build_ms' must be a time"),
    "a truth as time": (altered(low_ms=True), "'low_ms' must be"),
    "part of a visit": (altered(rounds=2.5), "'rounds' must be a count, received 2.5"),
    "more accepted than made": (altered(accepted=11), "'accepted' 11 is above 'rounds' 10"),
    "an interval reversed": (altered(low_ms=5.0), "'low_ms' 5.0 is above 'high_ms'"),
    "an unknown field": (altered(quiet_us=1), "unknown field 'quiet_us', an observation has key"),
    "a missing field": (altered(rounds=...), "an observation without 'rounds'"),
    "a field twice": (altered()[:-1] + ', "quiet_ms": 2.0}', "'quiet_ms' stands twice in it"),
    "a field twice inside": (
        '{"session":"s1","conditions":{"cpu":"x","cpu":"y"}}',
        "'cpu' stands twice in it; mend or remove the line",
    ),
    "failed and measured": (altered(failure="x"), "both a failure and 'quiet_ms'"),
    "a failure of no text": ('{"key":"a","session":"s0","failure":3}', "'failure' must be a text"),
    "conditions of no object": ('{"session":"s1","conditions":3}', "a session is"),
    "conditions and more": ('{"session":"s1","conditions":{},"x":1}', "a session is"),
    "a definition of no object": ('{"define":"block:a","as":[]}', "a definition is"),
    "a newer schema": ('{"schema":99}', "schema 99, this hwnas knows 1; update hwnas"),
    "a schema as text": ('{"schema":"1"}', 'schema "1", this hwnas knows 1; mend'),
    "a schema that is a truth": ('{"schema":true}', "schema true, this hwnas knows 1; mend"),
    "longer than any inference": (
        altered(quiet_ms=1e308, high_ms=1e308),
        r"'quiet_ms' must be a time of at most 1e\+09 ms, received 1e\+308",
    ),
    "no schema at all": ('{"schema":"one"}', 'schema "one", this hwnas knows 1; mend'),
    "conditions that are not there": (
        altered(session="s9"),
        "has no conditions: those of the session",
    ),
    "other conditions": ('{"session":"s0","conditions":{"cpu":"y"}}', "differs from line 2"),
}


@pytest.mark.parametrize(("line", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_line_of_nonsense_is_named_and_nothing_is_lost(profile, line, says):
    path = write(profile, [*HEAD, line, altered()])
    before = path.read_bytes()
    with pytest.raises(ProfileError, match=says) as caught:
        profile.read()
    text = str(caught.value)
    assert f"'{path}', line 3: " in text and len(text) < 500 and "\n" not in text
    with pytest.raises(ProfileError):
        profile.compact()
    assert path.read_bytes() == before


def test_bytes_that_are_not_utf8_are_named(profile):
    write(profile, b'{"schema":1}\n{"session":"s\xff","conditions":{}}\n')
    with pytest.raises(ProfileError, match=r"line 2: not UTF-8; mend or remove"):
        profile.read()


def test_a_file_without_its_schema_is_refused(profile):
    write(profile, [HEAD[1], altered()])
    with pytest.raises(ProfileError, match=r'line 1: no schema; put the line \{"schema":1\}'):
        profile.read()


def test_a_directory_in_its_place_is_said(profile):
    (profile.folder / "measurements.jsonl").mkdir()
    with pytest.raises(ProfileError, match=r"measurements.jsonl' cannot be read: Is a directory"):
        profile.read()


def test_the_same_seen_twice_counts_once(profile):
    again = json.dumps(dict(reversed(GOOD.items())), indent=None)
    failed = '{"key":"b","session":"s0","failure":"refused"}'
    write(profile, [*HEAD, altered(), again, HEAD[1], HEAD[0], failed, failed])
    assert [item.key for item in profile.read().observations] == ["kernel:a", "b"]


def test_contradicting_lines_are_both_named(profile):
    write(profile, [*HEAD, altered(), altered(key="b"), altered(quiet_ms=1.05)])
    with pytest.raises(ProfileError, match=r"line 5: 'kernel:a' in session 's0' .* line 3;.*merge"):
        profile.read()


@pytest.mark.parametrize("length", range(1, len(altered())))
def test_a_line_torn_anywhere_is_dropped_and_what_follows_is_kept(profile, length):
    text = altered(key="kernel:ä{\\")[:length]
    write(profile, [*HEAD, text], end="")
    assert profile.read().observations == []
    profile.append([Observation(**{**GOOD, "key": "c"})])
    assert [item.key for item in profile.read().observations] == ["c"]


def test_a_line_torn_inside_a_character_or_left_empty_is_dropped(profile):
    whole = "\n".join(HEAD).encode() + b"\n"
    for tail in ('{"key":"ä'.encode()[:-1], b"\0" * 40, b'{"key"' + b"\0" * 40):
        write(profile, whole + tail)
        assert profile.read().sessions == {"s0": {"cpu": "x"}}


def test_a_first_write_that_was_torn_does_not_cost_the_schema(profile):
    for torn in (b"", b'{"sch'):
        write(profile, torn)
        profile.append([Observation(**GOOD)], sessions={"s0": {}})
        assert len(profile.read().observations) == 1


def test_what_could_not_be_read_again_is_not_written(profile):
    profile.append([Observation(**GOOD)], sessions={"s0": {}})
    before = (profile.folder / "measurements.jsonl").read_bytes()
    with pytest.raises(ProfileError, match="'b' cannot be kept: 'quiet_ms' must be"):
        profile.append([Observation(**{**GOOD, "key": "b", "quiet_ms": float("nan")})])
    assert (profile.folder / "measurements.jsonl").read_bytes() == before


def test_the_digest_knows_contents_and_not_order(profile):
    lines = [*HEAD, altered(), altered(key="b"), '{"define":"b","as":{"x":1,"y":2}}']
    write(profile, lines)
    first = profile.read().digest()
    write(profile, [*lines[:2], '{"define":"b","as":{"y":2,"x":1}}', *reversed(lines[2:4])])
    assert profile.read().digest() == first
    profile.compact()
    assert profile.read().digest() == first
    write(profile, [*lines[:-1], '{"define":"b","as":{"x":1,"y":3}}'])
    assert profile.read().digest() != first
    write(profile, [*lines, altered(key="c")])
    assert profile.read().digest() != first


def test_conditions_written_twice_are_the_same_whatever_they_hold(profile):
    line = '{"session":"s0","conditions":{"load":NaN,"cpu":"x"}}'
    other = '{"session":"s0","conditions":{"cpu":"x","load":NaN}}'
    write(profile, [HEAD[0], line, other])
    assert list(profile.read().sessions) == ["s0"]


def test_the_next_session_is_none_that_was_there():
    assert Records().next_session() == 0
    names = ("s0000", "s0007", "s0003.ab12", "s0011.cd34", "mine", "sx", "s", "")
    assert Records(sessions={name: {} for name in names}).next_session() == 12
