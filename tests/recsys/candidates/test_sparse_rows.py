"""Rows of sparse matrices without SciPy, and rankings of rows one by one, against the dense form."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_matrix

from recsys.candidates.contract import rank_in_blocks, rank_rows
from recsys.candidates.sparse_rows import RowSums, add_rows, at_columns, rows_of
from recsys.queries import Query

SONGS = 12
values = st.sampled_from([0.0, 0.0, -0.5, 0.25, 1.0, 3.0])
matrices = arrays.arrays(np.float32, (8, SONGS), elements=values)
some_rows = st.lists(st.integers(0, 7), max_size=6)


@given(matrices, some_rows, st.data())
def test_rows_are_added_as_a_product_adds_them(dense, rows, data):
    weights = np.array(data.draw(st.lists(values, min_size=len(rows), max_size=len(rows))), np.float32)
    scores = np.ones(SONGS, np.float32)
    add_rows(scores, csr_matrix(dense), np.array(rows, np.int32), weights)
    np.testing.assert_allclose(scores, 1 + weights @ dense[rows], atol=1e-6)


@given(matrices, some_rows, st.data(), st.sampled_from([0, 1]))
def test_a_matrix_kept_with_its_zeros_adds_up_the_same(dense, rows, data, padding):
    wide = csr_matrix(np.hstack([dense, np.zeros((8, padding * 1000), np.float32)]))
    sums = RowSums(wide)
    if padding or not dense.any():
        assert sums._whole is None
    elif (dense != 0).mean() >= 0.25:
        assert sums._whole is not None
    weights = np.array(data.draw(st.lists(values, min_size=len(rows), max_size=len(rows))), np.float32)
    scores, expected = np.ones((2, wide.shape[1]), np.float32)
    sums.add(scores, np.array(rows, np.int32), weights)
    add_rows(expected, wide, np.array(rows, np.int32), weights)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@given(matrices, some_rows, st.lists(st.integers(0, SONGS - 1), unique=True))
def test_columns_of_rows_are_those_of_the_dense_matrix(dense, rows, columns):
    found = at_columns(*rows_of(csr_matrix(dense), np.array(rows, np.int32)), np.array(columns, np.int32), SONGS)
    np.testing.assert_array_equal(found, dense[np.array(rows, np.int32)][:, np.array(columns, np.int32)])


@given(matrices, st.lists(st.lists(st.integers(0, SONGS - 1)), min_size=8, max_size=8), st.integers(1, 15))
def test_row_by_row_is_ranked_as_in_blocks(dense, excluded, k):
    queries = [Query(exclude=np.array(songs, np.int32)) for songs in excluded]
    expected = rank_in_blocks(queries, k, SONGS, lambda block: (dense, dense > 0))
    found = rank_rows(queries, k, iter(dense.copy()))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
