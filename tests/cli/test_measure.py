from hwnas.cli.measure import _show

ROW = {
    "latency_ms": 1.0,
    "low_ms": 0.9,
    "high_ms": 1.1,
    "median_ms": 1.0,
    "cold_ms": None,
    "first_ms": 2.0,
    "build_ms": 3.0,
    "verdict": "stable",
}


def test_square_brackets_in_a_name_are_no_markup(capsys):
    names = ("[red]x.onnx", "a[/b].onnx", "[.onnx")
    _show([{"model": name, **ROW} for name in names])
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
