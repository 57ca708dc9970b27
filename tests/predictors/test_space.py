import numpy as np
import pytest

from hwnas.errors import SpecError
from hwnas.export.bags import SpaceBags
from hwnas.predictors import LatencyPredictor, SpacePredictor
from hwnas.profiles import DeviceProfile
from hwnas.profiling.bags import profiled_bags
from hwnas.spaces import space


@pytest.fixture(scope="module")
def pricer(measured):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_PROFILES", str(measured))
        records = DeviceProfile.open("sim").read()
    predictor = LatencyPredictor().fit(records, profiled_bags(records, "simulated"))
    return SpacePredictor(predictor, SpaceBags(space("resnet-32")))


@pytest.fixture(scope="module")
def genotypes():
    return space("resnet-32").sample(np.random.default_rng(0), 9000)


def uses(pricer):
    return (pricer.table_ms, pricer.predict_ms, lambda rows: pricer.bounds_ms(rows, 0.9))


def test_every_gene_is_held_to_its_choice(pricer, genotypes):
    choices = space("resnet-32").choices
    for index, choice in enumerate(choices):
        for gene in (len(choice.values), -1, -(2**63), 10**9):
            wrong = genotypes.copy()
            # Beyond what is priced at once, so that the place is right there too.
            wrong[8500, index] = gene
            allowed = f"from 0 to {len(choice.values) - 1}; received {gene} in genotype 8500"
            for use in uses(pricer):
                with pytest.raises(SpecError) as caught:
                    use(wrong)
                assert f"gene {index} ('{choice.name}')" in str(caught.value)
                assert allowed in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:, :3],
        lambda rows: np.concatenate([rows, rows], axis=1),
        lambda rows: rows[0],
        lambda rows: rows + 0.5,
        lambda rows: rows.astype(bool),
        lambda rows: np.full(rows.shape, np.nan),
    ],
)
def test_what_are_no_genotypes_of_the_space(pricer, genotypes, change):
    for use in uses(pricer):
        with pytest.raises(SpecError, match=r"whole numbers of shape \(n, 11\)"):
            use(change(genotypes[:5]))


def test_genotypes_in_other_forms_are_priced_the_same(pricer, genotypes):
    rows = genotypes[:50]
    expected = pricer.predict_ms(rows)
    for same in (rows.tolist(), rows.astype(np.int32), rows.astype(np.uint8), rows.copy("F")):
        assert np.array_equal(pricer.predict_ms(same), expected)
    assert len(pricer.predict_ms(rows[:0])) == 0
    assert [len(bound) for bound in pricer.bounds_ms(rows[:0], 0.9)] == [0, 0]
