"""What gpbt asks of every searcher, and what this one adds."""

import pytest

from gpbt_core import ConfigError
from gpbt_core.testing import check_searcher
from gpbt_searcher_de.searcher import DifferentialEvolution


@pytest.mark.parametrize("options", [{}, {"weight": 2.0, "crossover": 0.0}, {"weight": 0.1, "crossover": 1.0}])
def test_it_passes_the_conformance_kit_of_gpbt(options: dict[str, float]) -> None:
    check_searcher(DifferentialEvolution(**options))


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"weight": 2.1}, {"crossover": -0.1}, {"crossover": 1.1}])
def test_an_option_out_of_its_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        DifferentialEvolution(**options)
