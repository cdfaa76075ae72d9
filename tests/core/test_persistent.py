"""The containers of a State are plain values: they do what a list and a sorted list do, and the old ones stay."""

import copy
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpbt_core.persistent import Key, Log, Ranking, Vector, has_key, with_key, without_key
from strategies import examples

# 32 in a tail, 1024 + 32 below a root of one level, 32768 + 32 below one of two
EDGES = [0, 1, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 1055, 1056, 1057, 1088, 1089]

keys = st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1e300, math.inf]), st.integers(0, 60))


@pytest.mark.parametrize("size", EDGES)
def test_a_vector_grown_item_by_item_equals_the_one_made_at_once(size: int) -> None:
    grown = Vector[int]()
    for i in range(size):
        grown = grown.append(i)
    made = Vector(range(size))
    assert grown == made
    assert hash(grown) == hash(made)
    assert list(grown) == list(made) == list(range(size))
    assert [made[i] for i in range(size)] == list(range(size))
    assert len(made) == size


def test_a_vector_keeps_its_items_beyond_the_root_s_second_level() -> None:
    size = 32 * 1024 + 100
    vector = Vector(range(size))
    at = [0, 31, 32, 1023, 1024, 32767, 32768, 32799, 32800, size - 1]
    for i in at:
        vector = vector.replace(i, -i)
    vector = vector.append(7)
    assert [vector[i] for i in at] == [-i for i in at]
    assert [vector[i] for i in (1, 33, 32769, size - 2, size)] == [1, 33, 32769, size - 2, 7]
    assert sum(vector) == sum(range(size)) - 2 * sum(at) + 7


@examples(60)
@given(st.data())
def test_a_vector_does_what_a_list_does_and_the_old_one_stays(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from(EDGES))
    vector, plain = Vector(range(size)), list(range(size))
    for _ in range(data.draw(st.integers(1, 6))):
        before, was = vector, list(plain)
        at = data.draw(st.integers(-1, len(plain) - 1))
        if at >= 0:
            vector, plain[at] = vector.replace(at, -1), -1
        else:
            vector = vector.append(-2)
            plain.append(-2)
        assert list(before) == was
    assert vector == Vector(plain)
    bounds = st.none() | st.integers(-size - 3, size + 3)
    cut = slice(data.draw(bounds), data.draw(bounds), data.draw(st.sampled_from([None, 1, 2, -1, -3])))
    assert vector[cut] == tuple(plain[cut])
    i = data.draw(st.integers(-len(plain), len(plain) - 1))
    assert vector[i] == plain[i]


@pytest.mark.parametrize("size", [0, 1, 32, 33, 1100])
def test_a_vector_has_no_items_beyond_its_ends(size: int) -> None:
    vector = Vector(range(size))
    for index in (size, size + 32, -size - 1):
        with pytest.raises(IndexError, match="index must be from"):
            vector[index]
        with pytest.raises(IndexError, match="index must be from"):
            vector.replace(index, 0)


def test_vectors_of_other_contents_are_not_equal() -> None:
    assert Vector([1, 2]) != Vector([1, 3])
    assert Vector([1, 2]) != Vector([1, 2, 3])
    assert Vector(range(64)) != Vector(range(64)).replace(3, 0)
    assert Vector([1]) != [1]


@pytest.mark.parametrize("value", [Vector(range(1100)), Vector([1])])
def test_containers_pickle_and_copy(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - written on this line
    assert copy.deepcopy(value) == value


@given(st.lists(keys, unique_by=lambda key: key[1], max_size=40), st.data())
def test_a_ranking_stays_sorted_whatever_the_order_of_its_changes(found: list[Key], data: st.DataObject) -> None:
    ranking: Ranking = ()
    for key in data.draw(st.permutations(found)):
        assert not has_key(ranking, key)
        ranking = with_key(ranking, key)
        assert has_key(ranking, key)
    assert ranking == tuple(sorted(found))
    for key in data.draw(st.lists(st.sampled_from(found), unique=True)) if found else ():
        smaller = without_key(ranking, key)
        assert not has_key(smaller, key)
        assert smaller == tuple(other for other in ranking if other != key)
        with pytest.raises(KeyError):
            without_key(smaller, key)


def test_containers_say_what_is_in_them() -> None:
    assert repr(Vector([1, "a"])) == "Vector([1, 'a'])"


@given(st.data())
def test_a_log_is_the_tuple_of_what_was_appended_to_it_whatever_was_appended_to_its_copies(data: st.DataObject) -> None:
    logs: list[tuple[Log[int], tuple[int, ...]]] = [(Log(), ())]
    for item in range(data.draw(st.integers(0, 20))):
        log, plain = logs[data.draw(st.integers(0, len(logs) - 1))]
        logs.append((log.append(item), (*plain, item)))
    for log, plain in logs:
        assert log == plain
        assert plain == log
        assert (len(log), list(log), hash(log), bool(log)) == (len(plain), list(plain), hash(plain), bool(plain))
        assert [log[i] for i in range(-len(plain), len(plain))] == [*plain, *plain]
        assert log[1:-1] == plain[1:-1]
        assert pickle.loads(pickle.dumps(log)) == log  # noqa: S301 - dumped here
        with pytest.raises(IndexError, match="index must be from"):
            _ = log[len(plain)]
