import math

import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.search import RandomSearch
from hwnas.search.table import ArchitectureTable, run_on_table, table_space


@pytest.fixture
def table():
    own = table_space("small", [("0", "1", "2"), ("0", "1", "2", "3")])
    genotypes = np.array([[a, b] for a in range(3) for b in range(4)])
    accuracy = genotypes.sum(axis=1).astype(float)
    accuracy[3] = math.nan
    return ArchitectureTable(own, genotypes, accuracy, np.arange(1.0, 13.0))


def test_looks_up_what_it_was_given(table):
    constraint = table.constraint(4.0)
    rows = np.array([[0, 0], [0, 3], [1, 0], [2, 3]])
    assert constraint.predictor.predict_ms(rows).tolist() == [1.0, 4.0, 5.0, 12.0]
    assert constraint.feasible(rows).tolist() == [True, True, False, False]
    assert constraint.predictor.predict_ms(np.array([[2, 9]])).tolist() == [math.inf]


def test_a_search_counts_its_queries_and_keeps_the_best(table):
    table.judged = 10 * table.accuracy
    seen = []
    run = run_on_table(
        RandomSearch(table.space, table.constraint(None), 0), table, 9, on_query=seen.append
    )
    assert run.queries == 9 and seen == list(range(1, 10)) and len(run.picked) == 9
    known = run.picked[~np.isnan(run.picked)]
    assert (np.diff(known) >= 0).all()
    assert run.picked[-1] == table.judged[table.rows[run.best]]


def test_a_search_ends_with_the_table(table):
    run = run_on_table(RandomSearch(table.space, table.constraint(6.0), 0), table, 100)
    # Six are within the limit; the one without an accuracy is looked up in vain.
    assert run.queries == 6 and run.best == (1, 1)
    assert table.within(6.0).sum() == 5


def test_tables_that_are_none_are_refused(table):
    rows = np.array([[0, 0], [0, 0]])
    with pytest.raises(RequestError, match="each must stand once"):
        ArchitectureTable(table.space, rows, np.array([1.0, 2.0]))
    with pytest.raises(RequestError, match="no accuracy in any row"):
        ArchitectureTable(table.space, rows[:1], np.array([math.nan]))
