import math

from hwnas.cli.columns import number, plain_table, span


def test_what_is_not_there_is_a_dash():
    assert number(None) == number(math.nan) == span(math.nan, 1.0) == span(None, None) == "–"
    assert number(0.256) == "0.26" and number(-0.5, "+.1f") == "-0.5"
    assert span(0.1, 0.25) == "0.10 to 0.25" and span(1, 2, ".1f", "–") == "1.0–2.0"


def test_only_the_first_column_is_to_the_left():
    table = plain_table("t", ("name", "ms", "%"))
    assert [column.justify for column in table.columns] == ["left", "right", "right"]
