import json
import subprocess
import sys
from pathlib import Path

KILL = Path(__file__).parents[2] / "tools" / "bench" / "kill.py"


def kills(mode):
    # A process of its own, because it forks, which one with torch's threads must not.
    # Few moments here; tools/bench/kill.py makes fifty.
    run = subprocess.run(
        [sys.executable, str(KILL), "--moments", "4", "--seed", "1", "--modes", mode],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)[mode]
    assert found["kills"] == 4 and found["failures"] == 6
    assert found["most_visits_lost"] <= 1
    assert found["earlier_lines_kept"]
    assert found["unnamed_sessions"] == found["orphans"] == 0
    assert found["keys"] > 500
    same = ("keys", "definitions", "verdicts", "numbers_of_processes", "failures")
    assert {name: found[f"{name}_that_differ"] for name in same} == dict.fromkeys(same, 0)
    return found


def test_a_killed_session_loses_the_visit_in_flight_and_resumes_to_the_same_profile():
    # Networks and parts that crash, hang and fail are among what is measured.
    found = kills("lost")
    assert found["observations_that_differ"] == found["models_that_differ"] == 0


def test_what_a_killed_visit_had_finished_is_kept_and_the_rest_measured():
    found = kills("set_aside")
    # By the noise; see tools/bench/kill.py for what may differ and why.
    assert found["worst_difference_pct"] < 1
