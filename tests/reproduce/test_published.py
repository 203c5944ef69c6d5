"""The published numbers are those of the paper: spot checks, typed from its tables again."""

from __future__ import annotations

import pytest

from tf_ganmex.reproduce.published import COLUMNS, DATASETS, TABLE_2, TABLE_3, TABLE_4, column, label

LABELS = "IG zero,IG MDTS,IG GANMEX,EG,DeepLIFT zero,DeepLIFT MDTS,DeepLIFT GANMEX"
LABELS += ",Occlusion zero,Occlusion MDTS,Occlusion GANMEX"


def test_columns_are_called_as_in_the_paper_and_found_by_that_name():
    assert list(map(label, COLUMNS)) == LABELS.split(",")
    assert column("IG MDTS") == ("integrated_gradients", "nearest")
    assert list(map(column, LABELS.split(","))) == list(COLUMNS)


@pytest.mark.parametrize(
    ("data", "metric", "name", "value"),
    [
        ("mnist", "aopc_100", "IG GANMEX", 1.421),
        ("mnist", "aopc_all", "EG", 1.13),
        ("mnist", "aoroarc", "Occlusion GANMEX", 0.327),
        ("mnist", "aoroarc_abs", "IG zero", 0.176),
        ("mnist", "gini", "IG MDTS", 0.911),
        ("mnist", "gini_shifted", "DeepLIFT GANMEX", 0.046),
        ("mnist", "faithfulness", "DeepLIFT MDTS", 0.003),
        ("mnist", "monotonicity", "Occlusion GANMEX", 0.280),
        ("svhn_cropped", "faithfulness", "DeepLIFT zero", -0.041),
        ("svhn_cropped", "inverse_localization", "Occlusion GANMEX", 0.100),
        ("svhn_cropped", "aopc_all", "IG MDTS", 0.844),
        ("cifar10", "aopc_100", "EG", 0.516),
        ("cifar10", "gini", "Occlusion zero", 0.325),
        ("cifar10", "monotonicity", "Occlusion zero", 0.175),
    ],
)
def test_table_3(data, metric, name, value):
    assert TABLE_3[data][metric, column(name)] == value


def test_every_row_of_table_3_has_all_columns():
    for numbers in TABLE_3.values():
        for metric in {metric for metric, _ in numbers}:
            assert [place for name, place in numbers if name == metric] == list(COLUMNS)


def test_tables_2_and_4_and_the_classifiers():
    assert TABLE_2["mnist"]["ganmex"] == 7.17 and TABLE_2["mnist"]["nearest"] == 7.18
    assert TABLE_2["svhn_cropped"]["D_inter"] == 14.48 and TABLE_2["cifar10"]["zero"] == 29.04
    assert TABLE_4["mnist"]["", "nearest"] == 850.8 and TABLE_4["mnist"]["deeplift", ""] == 0.6
    assert TABLE_4["svhn_cropped"]["occlusion", ""] == 4917.0 and TABLE_4["cifar10"]["", "ganmex"] == 959.7
    assert [data.accuracy for data in DATASETS.values()] == [0.993, 0.903, 0.878]
    assert DATASETS["cifar10"].steps == 400_000 and DATASETS["svhn_cropped"].test_images == 26_032
