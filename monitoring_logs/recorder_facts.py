"""What the recorder says of itself when it closes: how much it kept where, how long the disk let it wait.

It tells a reader how far the numbers of a life went, and a person whether the disk was fit to keep a record. The recorder
writes it as the last record of its life; a life that was killed has none.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderFacts:
    """One life of the recorder. records_put: the last number that the supervisor's records were given.

    repeated: they were there already and changed nothing. commit_s: histogram, encoded, of whole transactions, waiting for
    a lock included; sync_s: of their last step alone, in which the disk syncs. log_bytes_max: of the write-ahead log.
    fault: the first thing that went wrong, "" when nothing did.
    """

    life: int
    records_put: int
    committed: int
    spilled: int
    lost: int
    refused: int
    repeated: int
    commit_s: str
    sync_s: str
    log_bytes_max: int
    fault: str
