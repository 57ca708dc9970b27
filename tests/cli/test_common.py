import hwnas.cli.common as common
from hwnas.cli.common import progress, say


def test_what_is_being_done_is_said_beside_the_share(monkeypatch):
    said = []
    monkeypatch.setattr(common, "note", said.append)
    monkeypatch.setattr(common, "LINE_S", -1.0)
    say("nobody hears it")
    with progress("outer") as outer:
        outer.update(0.5)
        with progress("inner"):
            say("epoch 1")
        say("epoch 2")
    say("nobody hears it")
    assert said == ["outer: 50 %", "epoch 1: 0 %", "epoch 2: 50 %"]
