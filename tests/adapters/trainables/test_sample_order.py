from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_adapters.trainables.sample_order import SampleOrder
from gpbt_core.errors import ConfigError


@given(
    samples=st.integers(1, 30),
    calls=st.lists(st.tuples(st.integers(1, 9), st.none() | st.integers(1, 12)), min_size=1, max_size=8),
)
def test_every_sample_comes_once_an_epoch_whatever_the_batch_sizes(
    samples: int, calls: list[tuple[int, int | None]]
) -> None:
    order = SampleOrder(draw=lambda: range(samples), batch_size=1)
    seen: list[int] = []
    for batch_size, count in calls:
        order.batch_size = batch_size
        batches = order.take(count)
        assert all(1 <= len(batch) <= batch_size for batch in batches)
        assert count is None or len(batches) == count
        seen += chain(*batches)
    assert seen == [number % samples for number in range(len(seen))]


@given(samples=st.integers(1, 30), batch_size=st.integers(1, 9), count=st.integers(1, 12))
def test_dropping_leaves_full_batches_only(samples: int, batch_size: int, count: int) -> None:
    order = SampleOrder(draw=lambda: range(samples), batch_size=batch_size, drop_last=True)
    if samples < batch_size:
        with pytest.raises(ConfigError, match="smaller ones are dropped; choose a smaller batch size"):
            order.take(count)
    else:
        assert [len(batch) for batch in order.take(count)] == [batch_size] * count


def test_no_count_ends_with_the_epoch() -> None:
    order = SampleOrder(draw=lambda: range(5), batch_size=2)
    assert order.take(1) == [[0, 1]]
    assert order.take() == [[2, 3], [4]]
    assert order.take() == [[0, 1], [2, 3], [4]]


def test_a_copied_rest_goes_on_where_it_was() -> None:
    order = SampleOrder(draw=lambda: range(7), batch_size=2)
    order.take(2)
    other = SampleOrder(draw=lambda: range(7), batch_size=2, left=list(order.left))
    assert other.take(5) == order.take(5)


def test_an_epoch_without_samples_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(ConfigError, match="an epoch of 0 samples"):
        SampleOrder(draw=list, batch_size=2).take()
