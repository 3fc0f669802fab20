"""The models, before they are served: python -m pytest"""

import csv
from pathlib import Path

import pandas
import pytest
from models import forest, linear, reference

ROWS = Path(__file__).parent.parent / "data" / "rows.csv"


@pytest.mark.parametrize("module", [linear, forest, reference])
def test_a_model_beats_the_mean(module):
    assert module.train().metrics["mae"] < 60.0  # the mean alone is about 65 off


@pytest.mark.parametrize("module", [linear, forest, reference])
def test_the_same_data_give_the_same_model(module):
    first, second = module.train(), module.train()
    assert list(first.model.predict(first.inputs)) == list(second.model.predict(second.inputs))


@pytest.mark.parametrize("module", [linear, forest, reference])
def test_held_out_rows_get_answers_in_range(module):
    trained = module.train()
    rows = pandas.read_csv(ROWS)[list(trained.inputs.columns)]
    assert all(25 <= answer <= 400 for answer in trained.model.predict(rows))


def test_the_rows_have_what_the_endpoint_takes():
    with ROWS.open() as file:
        assert next(csv.reader(file)) == ["bmi", "bp", "s5"]
