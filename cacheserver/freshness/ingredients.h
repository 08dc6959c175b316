// The parts of the freshness protocol, one switch each. All of them are on; nothing that a program reads can turn one
// off. The interleaving tests switch them off one at a time and show that the explorer then finds a stale value: so
// none of them is decoration.
#pragma once

namespace tidemark::cacheserver {

struct Ingredients {
  bool rule_lease = true;             // (1) only the holder of the key's current lease fills it
  bool rule_epochs = true;            // (2) the proof speaks of this shard, database and bucket ownership
  bool rule_tombstones = true;        // (3) the proof covers the key's tombstones
  bool rule_overflow = true;          // (3) an overflowed tombstone needs xmin beyond its greatest xid, not just "seen"
  bool rule_floor_lsn = true;         // (4) for R proofs
  bool rule_floor_snapshot = true;    // (4) for S proofs
  bool rule_keep_newer = true;        // (5) an existing valid entry that contains more stays
  bool chained_fence = true;          // a FENCE that does not follow is refused, like an INVALB
  bool chained_invalidations = true;  // an INVALB that does not follow is refused
  bool collect_only_settled = true;   // tombstones go only up to what was settled, not up to the position
  bool collect_raises_floor = true;   // what is collected is covered by the floor from then on
  bool join_barrier = true;           // after FENCEALL no S proof until something as late has settled
  bool join_raises_floor = true;      // after FENCEALL no R proof from before it
  bool join_revalidates = true;       // after FENCEALL older entries are misses
  bool epoch_needs_prefix = true;     // EPOCH only where everything up to the switch was applied
  bool epoch_drops_lost = true;       // after EPOCH entries that may hold lost commits are misses
  bool overflow_raises_floor = true;  // a tombstone that no longer fits in memory raises the floor
  bool stage_settled = true;          // a staged value waits until every snapshot of the primary sees its commit
  bool stage_id = true;               // a commit confirms the staged value whose stage it names, not any of its xid
  bool stage_epoch = true;            // a staged value ends with the database (and the join) it was written in
  bool moved_ends_ownership = true;   // what a log says of a bucket counts before the topology says it (MOVED)
  bool stage_last_event = true;  // the stream names a stage only if nothing of the key follows it (CommitAssembler)
};

}  // namespace tidemark::cacheserver
