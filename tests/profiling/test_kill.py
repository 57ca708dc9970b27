import json
import subprocess
import sys
from pathlib import Path

KILL = Path(__file__).parents[2] / "tools" / "bench" / "kill.py"


def test_a_killed_session_loses_the_visit_in_flight_and_resumes_to_the_same_profile():
    # A process of its own, because it forks, which one with torch's threads must not.
    # Five moments here; tools/bench/kill.py makes fifty.
    run = subprocess.run(
        [sys.executable, str(KILL), "--moments", "5", "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["kills"] == 5
    assert found["most_visits_lost"] <= 1
    assert found["earlier_lines_kept"]
    assert found["unnamed_sessions"] == found["orphans"] == 0
    assert found["keys"] > 500
    for name in ("keys", "definitions", "verdicts"):
        assert found[f"{name}_that_differ"] == 0
    assert found["fewer_sessions"] == 0
    # The device has no noise; what other models of a visit leave in the caches remains.
    assert found["worst_difference_pct"] < 0.05
