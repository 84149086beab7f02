"""Many sentences, one video each: on this machine, or on a Ray cluster."""

from stable_signer.batch.items import Item, read_items
from stable_signer.batch.run import Summary, run_batch

__all__ = ["Item", "Summary", "read_items", "run_batch"]
