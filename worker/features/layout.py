"""Where each number stands in the arrays of the state.

The state of one entity on one partition is a few arrays: an open-addressing `table`
of slots, one row of `meta` for each key, blocks of rows in `pool` for the events
(a ring buffer for each key, capacities powers of two), and a few `scalars`; where
windows look at labels, `waiting` holds those that came before their transaction.
Positions of events count up for ever; position & (capacity - 1) is the place in the
ring.
"""

from __future__ import annotations

# Columns of `meta`. Free slots are chained through KEY_LOW.
KEY_LOW = 0
KEY_HIGH = 1
BLOCK = 2
CAPACITY = 3
TAIL = 4
HEAD = 5
SEGMENT_SEEN = 6
#: Records of the log before this offset are part of the key already (a snapshot).
FOLDED_UNTIL = 7
#: First of the key's waiting labels, plus 1; 0 where none waits. In a slice: how many.
WAITING = 8
#: First of the moving heads, one for each edge; the measures' totals follow.
FIRST_HEAD = 9

#: Stands in TAIL of a slot without a key.
FREE = -1

# Columns of `pool`. Free blocks are chained through TIME.
TIME = 0
ID = 1
#: First of the words of the measures.
FIRST_WORD = 2

# Places in `scalars`.
WATERMARK = 0
#: Events at or before it are dead for every record of the running batch.
EXPIRED = 1
KEYS = 2
EVENTS = 3
POOL_USED = 4
SLOTS_USED = 5
FREE_SLOT = 6
SEGMENT = 7
LATENESS = 8
RETENTION = 9
MAX_KEYS = 10
MAX_EVENTS = 11
STATUS = 12
SWEPT = 13
SHIFTED_WORDS = 14
#: First free row of `waiting`, plus 1; and how many rows were ever used.
FREE_WAITING = 15
WAITING_USED = 16
UNKNOWN_LABELS = 17
#: Rows that the pool had when its free blocks were last merged.
MERGED_AT = 18
SCALARS = 19

# What STATUS says when a kernel stops before the end.
DONE = 0
SEGMENT_ENDS = 1
POOL_FULL = 2
SLOTS_FULL = 3
KEY_LIMIT = 4
EVENT_LIMIT = 5
WAITING_FULL = 6

# Columns of `waiting`: labels whose transactions have not come yet, chained by key.
# TIME and ID stand where they stand in `pool`.
SINCE = 2
NEXT = 3
WAITING_WORDS = 4

# Columns of `marks`: what a batch with labels knows of each of its records.
#: When the label is known: NEVER for a genuine one, MISSING where it is an event.
MARK_LABEL = 0
#: Whose label it is: slot and position of the event; position -1 for nobody's.
MARK_SLOT = 1
MARK_POSITION = 2
#: The same as MARK_LABEL for an event whose label has waited for it.
MARK_WAITED = 3
MARK_COLUMNS = 4

#: Stands for "no fraud is known" where a time is expected.
NEVER = 2**63 - 1

# Columns of what is known of each admitted record.
SLOT = 0
KIND = 1
END = 2
TAIL_AFTER = 3
SELF = 4
#: First of the positions where windows begin or end, one for each edge.
FIRST_EDGE = 5

# Kinds of admitted record.
IN_ORDER = 0
OUT_OF_ORDER = 1
NOT_STORED = 2

# Columns of `ops`, one row for each window feature of a measure.
OP_STATISTIC = 0
OP_START = 1
OP_END = 2
OP_CURRENT = 3
OP_COLUMN = 4
OP_POINTER = 5
OP_COLUMNS = 6

#: Stands for "the current event" in OP_END.
NOW = -1
#: Stands for "not kept" where the place of a word is expected.
NOT_KEPT = -1

# Codes of the statistics in OP_STATISTIC.
COUNT = 0
SUM = 1
MEAN = 2
STD = 3
MIN = 4
MAX = 5
DISTINCT = 6
LAST = 7
SECONDS_SINCE_LAST = 8
FRAUD_COUNT = 9
FRAUD_RATE = 10
LAST_LABEL = 11
SECONDS_SINCE_FRAUD = 12
FRAUD_STREAK = 13
FRAUD_STREAK_SECONDS = 14

#: The smallest ring; size class k holds MIN_CAPACITY << k events.
MIN_CAPACITY = 4
SIZE_CLASSES = 40
