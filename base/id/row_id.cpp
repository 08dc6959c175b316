#include "base/id/row_id.h"

#include <string>

#include "base/invariant.h"

namespace tidemark {
namespace {

constexpr uint32_t kLaneShift = kRowIdSequenceBits;
constexpr uint32_t kBucketShift = kLaneShift + kRowIdLaneBits;
constexpr uint32_t kTimeShift = kBucketShift + kRowIdBucketBits;
static_assert(kTimeShift + kRowIdTimeBits == 63);

}  // namespace

RowId make_row_id(const RowIdParts& parts) {
  INVARIANT(parts.time.value >= kRowIdEpochMs && parts.time.value <= kRowIdTimeMaxMs, parts.time.value);
  INVARIANT(parts.bucket < kBucketCount, parts.bucket);
  INVARIANT(parts.lane < kRowIdLanes, parts.lane);
  INVARIANT(parts.sequence < kRowIdSequences, parts.sequence);
  auto time = static_cast<uint64_t>(parts.time.value - kRowIdEpochMs);
  return static_cast<RowId>(time << kTimeShift | uint64_t{parts.bucket} << kBucketShift |
                            uint64_t{parts.lane} << kLaneShift | parts.sequence);
}

RowIdParts parts_of_row_id(RowId id) {
  auto bits = static_cast<uint64_t>(id);
  return {.time = time_of_row_id(id),
          .bucket = bucket_of_row_id(id),
          .lane = static_cast<uint32_t>(bits >> kLaneShift) & (kRowIdLanes - 1),
          .sequence = static_cast<uint32_t>(bits) & (kRowIdSequences - 1)};
}

UnixMillis time_of_row_id(RowId id) {
  INVARIANT(id >= 0, id);
  return {kRowIdEpochMs + (id >> kTimeShift)};
}

Status check_row_id(int64_t number, std::string_view field) {
  if (number > 0) return {};
  return fail(ErrorCode::kInvalidArgument,
              std::string(field) + ": " + std::to_string(number) + " is no id; ids are positive numbers");
}

std::string_view tag_of_row_id(RowId id) {
  // The bits that differ most between neighbours in a bucket: time and sequence; the lane's would favour some slots.
  auto bits = static_cast<uint64_t>(id);
  uint64_t slot_in_bucket = ((bits >> kTimeShift) + bits) & (kSlotsPerBucket - 1);
  return tag_for_slot(static_cast<Slot>(bucket_of_row_id(id) * kSlotsPerBucket + slot_in_bucket));
}

}  // namespace tidemark
