import pytest

from mae.cli.shared_work import Shard, SharedWork
from mae.errors import ConfigError


def test_shards_are_disjoint_and_all():
    items = list(range(11))
    parts = [Shard(number, 4).of(items) for number in range(1, 5)]
    assert parts == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7]]
    assert SharedWork(shard="3/8").share == Shard(3, 8)
    assert str(Shard(3, 8)) == "3-of-8"
    assert SharedWork().share is None


@pytest.mark.parametrize("shard", ["0/8", "9/8", "3", "3/0", "a/b", "-1/8", "3/8/2"])
def test_no_shard(shard):
    with pytest.raises(ConfigError, match=rf"shard={shard} is not one of 1/n to n/n, as 3/8 .* begin with 1"):
        SharedWork(shard=shard)


@pytest.mark.parametrize("executor", ["dask://host", "host:8786", "slurm://host:1", "dask://a b:1", "dask://a:x"])
def test_no_executor(executor):
    with pytest.raises(ConfigError, match=rf"executor={executor} is no cluster: expected .* dask://host:8786"):
        SharedWork(executor=executor)
    assert SharedWork(executor="dask://host:8786").executor == "dask://host:8786"
