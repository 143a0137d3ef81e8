"""Deaths of workers that no shard's attempts count: those of loading the model."""

from refdiff.engine.queue import ShardQueue
from refdiff.errors import ModelError


class VainDeaths:
    """Deaths since a shard was last begun or done, as the process sees them that has the workers started again."""

    def __init__(self, queue: ShardQueue, shards: range, limit: int) -> None:
        """Count from nothing.

        Args:
            queue: Where each attempt is written down before it begins.
            shards: What the run is about.
            limit: With so many in a row, another would come to the same.
        """
        self._queue = queue
        self._shards = shards
        self._limit = limit
        self._seen: object = None
        self._in_vain = 0

    def count(self, how: str, workers: int = 1) -> None:
        """Take note of deaths.

        Args:
            how: How they were, for people.
            workers: How many there were.

        Raises:
            ModelError: They are too many.
        """
        seen = [self._queue.trial(shard).begun for shard in self._shards], len(self._queue.open_shards(self._shards))
        self._in_vain = self._in_vain + workers if seen == self._seen else workers
        self._seen = seen
        if self._in_vain >= self._limit:
            raise ModelError(
                f"engine.workers: {self._in_vain} workers ended ({how}) before one began a shard; is there memory for "
                "so many models? Use fewer workers"
            )
