import json
import subprocess
import sys
from pathlib import Path

KILL = Path(__file__).parents[2] / "tools" / "bench" / "kill.py"


def test_a_killed_session_loses_the_visit_in_flight_and_resumes_to_the_same_profile():
    # A process of its own, because it forks, which one with torch's threads must not.
    # Few moments here; tools/bench/kill.py makes fifty, also with what was set aside.
    run = subprocess.run(
        [sys.executable, str(KILL), "--moments", "2", "--seed", "1", "--modes", "lost"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)["lost"]
    # Networks and parts that crash, hang and fail are among what is measured.
    assert found["kills"] == 2 and found["failures"] == 6
    assert found["most_visits_lost"] <= 1
    assert found["earlier_lines_kept"]
    assert found["unnamed_sessions"] == found["orphans"] == 0
    assert found["keys"] > 500
    # To the last digit; all but the conditions, which tell when a process ran.
    assert {name: n for name, n in found.items() if name.endswith("_that_differ") and n} == {}
