#include "cacheserver/freshness/fill_rule.h"

#include <algorithm>

namespace tidemark::cacheserver {
namespace {

#ifdef TIDEMARK_TEST_NO_PROOF_RULE
constexpr bool kProofsCount = false;
#else
constexpr bool kProofsCount = true;
#endif

bool has_our_epochs(const FillQuestion& question) {
  const Proof& proof = question.proof;
  return proof.shard == question.owner.shard && proof.db_epoch == question.db_epoch &&
         proof.bucket_epoch == question.owner.epoch;
}

bool covers(const FillQuestion& question, const Tombstone& commit) {
  const Proof& proof = question.proof;
  return proof.kind == Proof::Kind::kReplica ? proof.lsn >= commit.end_lsn : proof.snapshot.sees(commit.xid);
}

// The maxima of several commits. A snapshot that sees the greatest xid may yet lack a smaller one: xids become visible
// in any order. It must be past all of them, or contain everything up to the greatest LSN.
bool covers_overflow(const FillQuestion& question, const Tombstone& maxima, const Ingredients& ingredients) {
  const Proof& proof = question.proof;
  if (proof.kind == Proof::Kind::kReplica) return proof.lsn >= maxima.end_lsn;
  if (!ingredients.rule_overflow) return proof.snapshot.sees(maxima.xid);
  return proof.snapshot.xmin > maxima.xid || question.proof_lo >= maxima.end_lsn;
}

// Positions of one log can be compared, whatever the bucket's epoch was at the time.
bool is_same_log(const CommitDomain& theirs, const CommitDomain& ours) {
  return theirs.shard == ours.shard && theirs.db_epoch == ours.db_epoch;
}

// A commit of an earlier owner. The hand-over applied all of them at the new owner before it gave the bucket its epoch,
// and a proof reads that epoch in its own snapshot, which therefore holds them.
bool is_before_hand_over(const CommitDomain& theirs, const CommitDomain& ours) {
  return theirs.shard != ours.shard && theirs.bucket_epoch != 0 && theirs.bucket_epoch < ours.bucket_epoch;
}

// Nothing: every tombstone of the key is covered. Else the LSN that would cover them, 0/0 if none can.
std::optional<Lsn> uncovered_tombstone(const FillQuestion& question, const Ingredients& ingredients) {
  const CommitDomain ours{question.owner.shard, question.db_epoch, question.owner.epoch};
  std::optional<Lsn> need;
  const Tombstones& all = question.tombstones;
  for (auto* record = all.first(question.key_hash); record != nullptr; record = all.next(*record)) {
    const CommitDomain& theirs = record->domain;
    bool is_ended =
        theirs.shard == ours.shard && theirs.db_epoch < ours.db_epoch;  // by the FENCEALL: the floor covers it
    if (is_ended || is_before_hand_over(theirs, ours)) continue;
    if (!is_same_log(theirs, ours)) return Lsn{};
    for (size_t i = 0; i < record->count; ++i) {
      if (!covers(question, record->newest[i])) need = std::max(need.value_or(Lsn{}), record->newest[i].end_lsn);
    }
    if (record->has_overflow && !covers_overflow(question, record->overflow, ingredients)) {
      need = std::max(need.value_or(Lsn{}), record->overflow.end_lsn);
    }
  }
  return need;
}

bool covers_floor(const FillQuestion& question, const Ingredients& ingredients) {
  const Proof& proof = question.proof;
  const Floor& floor = question.floor;
  if (proof.kind == Proof::Kind::kReplica) return !ingredients.rule_floor_lsn || proof.lsn >= floor.lsn;
  if (!floor.snapshot) return !ingredients.join_barrier;
  return !ingredients.rule_floor_snapshot || proof.snapshot.covers(*floor.snapshot);
}

}  // namespace

std::string_view to_string(FillVerdict verdict) {
  switch (verdict) {
    case FillVerdict::kAccepted:
      return "accepted";
    case FillVerdict::kKept:
      return "kept";
    case FillVerdict::kLease:
      return "lease";
    case FillVerdict::kEpoch:
      return "epoch";
    case FillVerdict::kOlder:
      return "older";
    case FillVerdict::kFloor:
      return "floor";
  }
  return "unknown";
}

FillJudgement judge_fill(const FillQuestion& question, const Ingredients& ingredients) {
  if (ingredients.rule_lease && !question.lease_is_current) return {FillVerdict::kLease, {}};
  if (kProofsCount) {
    if (ingredients.rule_epochs && !has_our_epochs(question)) return {FillVerdict::kEpoch, {}};
    if (ingredients.rule_tombstones) {
      if (auto need = uncovered_tombstone(question, ingredients)) return {FillVerdict::kOlder, *need};
    }
    if (!covers_floor(question, ingredients)) return {FillVerdict::kFloor, question.floor.lsn};
  }
  if (ingredients.rule_keep_newer && question.existing_lo && *question.existing_lo > question.proof_lo) {
    return {FillVerdict::kKept, {}};
  }
  return {FillVerdict::kAccepted, {}};
}

}  // namespace tidemark::cacheserver
