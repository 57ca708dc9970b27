import pytest

from hwnas.cli.tables import integers, read_table
from hwnas.errors import RequestError


def written(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path):
    table = read_table(written(tmp_path / "t.csv", "arch,A\nx,1.5\n", "utf-8-sig"))
    assert list(table.columns) == ["arch", "A"]
    assert table.latencies_ms(["A"]).tolist() == [[1.5]]


@pytest.mark.parametrize("text", ["1", "1.5", ".5", "5.", "1e-3", "+2E2", " 3 "])
def test_numbers(tmp_path, text):
    table = read_table(written(tmp_path / "t.csv", f"A\n{text}\n"))
    assert table.latencies_ms(["A"])[0, 0] == float(text)


@pytest.mark.parametrize("text", ["1_0", "\uff11", "\u0661", "nan", "inf", "0x10", "1,5", "", "1e"])
def test_what_is_no_number_anywhere_else_is_none_here(tmp_path, text):
    table = read_table(written(tmp_path / "t.csv", f'A,B\n"{text}",1\n'))
    with pytest.raises(RequestError, match="line 2, column 'A': a latency is a positive number"):
        table.latencies_ms(["A"])


@pytest.mark.parametrize("text", ["1e308", "1e-300", "1e400", "2e9"])
def test_latencies_that_nobody_measured(tmp_path, text):
    table = read_table(written(tmp_path / "t.csv", f"A\n{text}\n"))
    with pytest.raises(RequestError, match="column 'A': a latency is"):
        table.latencies_ms(["A"])


@pytest.mark.parametrize("text", ["1_0", "\uff11", "1.5", "9" * 12, "99999999999", "x", ""])
def test_genes_that_are_no_integers(tmp_path, text):
    path = written(tmp_path / "g.csv", f"a,b\n1,2\n{text},4\n")
    with pytest.raises(RequestError, match="must hold integers only.*line 3, column 'a'"):
        integers(path, 2)
    assert integers(written(path, "a,b\n1,-2\n 3,4\n"), 2).tolist() == [[1, -2], [3, 4]]
