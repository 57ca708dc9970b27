import json
import sys

import pytest

from hwnas.cli import main as cli


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def hwnas(capsys, monkeypatch):
    """Runs the command line in this process as the command would be run."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["hwnas", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(caught.value.code, out, err)

    return run
