import json
import random
import threading
from typing import Any

import numpy as np
import pytest

from gpbt_adapters.trainables.random_states import (
    NumpyGlobal,
    OwnRandomness,
    PythonGlobal,
    generator_state,
    restore_generator,
)


def _draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]  # noqa: NPY002, S311 - these


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - it is about this one


def _own(seed: int) -> OwnRandomness:
    return OwnRandomness([PythonGlobal(), NumpyGlobal()], seed)


def test_the_process_own_generators_are_as_before_afterwards() -> None:
    _seed(5)
    undisturbed = _draw()
    _seed(5)
    with _own(seed=1):
        _draw()
    assert _draw() == undisturbed


def test_what_others_draw_in_between_changes_nothing() -> None:
    with _own(seed=1) as own:
        together = [*_draw(), *_draw()]
    own = _own(seed=1)
    with own:
        first = _draw()
    _draw()
    with own:
        second = _draw()
    assert first + second == together


def test_seeds_give_what_the_generators_give_when_seeded() -> None:
    with _own(seed=7):
        inside = _draw()
    _seed(7)
    assert inside == _draw()


def test_a_state_goes_through_json_and_back() -> None:
    own = _own(seed=1)
    with own:
        _draw()
    kept = json.loads(json.dumps(own.state))
    with own:
        wanted = _draw()
    other = _own(seed=2)
    other.state = kept
    with other:
        assert _draw() == wanted


def test_states_are_put_away_when_the_block_raises() -> None:
    def fail() -> None:
        with own:
            _draw()
            raise KeyError

    _seed(5)
    undisturbed = _draw()
    _seed(5)
    own = _own(seed=1)
    before = own.state
    with pytest.raises(KeyError):
        fail()
    assert _draw() == undisturbed
    assert own.state != before


def test_two_threads_at_once_are_warned() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with _own(seed=1):
            inside.set()
            leave.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    assert inside.wait(60)
    try:
        with pytest.warns(RuntimeWarning, match="two models train at once"), _own(seed=2):
            pass
    finally:
        leave.set()
        other.join()


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_numpy_generator_of_any_kind_goes_on_from_its_state(kind: Any) -> None:
    generator = np.random.Generator(kind(3))
    generator.random(5)
    kept = json.loads(json.dumps(generator_state(generator)))
    wanted = generator.random(5)
    other = np.random.Generator(kind(4))
    restore_generator(other, kept)
    assert np.array_equal(other.random(5), wanted)
