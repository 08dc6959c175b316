#include "base/topology/placement.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/hash.h"
#include "base/invariant.h"

namespace tidemark {
namespace {

constexpr uint32_t kBlockCount = kSlotCount / kSlotsPerBlock;
// A share this close below a whole number is that number: weights such as 0.1 are not exact in binary.
constexpr double kShareRoundingError = 1e-9;

// Weighted rendezvous: the group with the highest score wins the block, in proportion to its weight.
double score_of(const Group& group, uint32_t block) {
  uint64_t bits = hash64(group.id, block) >> 11;
  double u = (static_cast<double>(bits) + 0.5) / 9007199254740992.0;  // (0, 1), 53 bits
  return -group.weight / std::log(u);
}

std::vector<uint32_t> count_slots(const std::vector<uint16_t>& table, size_t groups) {
  std::vector<uint32_t> counts(groups, 0);
  for (uint16_t group : table) {
    if (group != kNoGroup) ++counts[group];
  }
  return counts;
}

// Whole shares first; each slot left over goes to a group that already holds more than its whole share (it then need
// not give it away), then to the largest fraction, then by id.
std::vector<uint32_t> quotas_of(const std::vector<Group>& groups, const std::vector<uint32_t>& counts) {
  double weight_sum = 0;
  for (const Group& group : groups) {
    INVARIANT(std::isfinite(group.weight) && group.weight >= 0, group.id, group.weight);
    weight_sum += group.weight;
  }
  INVARIANT(weight_sum > 0 && std::isfinite(weight_sum), weight_sum);

  std::vector<uint32_t> quotas(groups.size());
  std::vector<double> fractions(groups.size());
  std::vector<size_t> order;
  uint32_t given = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    double share = kSlotCount * (groups[i].weight / weight_sum);
    quotas[i] = static_cast<uint32_t>(std::floor(share + kShareRoundingError));
    fractions[i] = std::max(0.0, share - quotas[i]);
    given += quotas[i];
    if (groups[i].weight > 0) order.push_back(i);
  }
  std::ranges::sort(order, [&](size_t a, size_t b) {
    auto rank = [&](size_t i) {
      return std::tuple(fractions[i] <= kShareRoundingError, counts[i] <= quotas[i], -fractions[i]);
    };
    return rank(a) != rank(b) ? rank(a) < rank(b) : groups[a].id < groups[b].id;
  });
  for (size_t next = 0; given < kSlotCount; ++next, ++given) ++quotas[order[next % order.size()]];
  return quotas;
}

std::vector<uint32_t> blocks_by_score(const Group& group) {
  std::array<double, kBlockCount> scores{};
  std::vector<uint32_t> blocks(kBlockCount);
  for (uint32_t block = 0; block < kBlockCount; ++block) {
    blocks[block] = block;
    scores[block] = score_of(group, block);
  }
  std::ranges::sort(blocks,
                    [&](uint32_t a, uint32_t b) { return scores[a] != scores[b] ? scores[a] < scores[b] : a < b; });
  return blocks;
}

// Frees `excess` slots of the group, from the blocks it wants least; a block given in part keeps its lower slots.
void give_away(std::vector<uint16_t>& table, uint16_t index, const Group& group, uint32_t excess) {
  for (uint32_t block : blocks_by_score(group)) {
    for (uint32_t i = kSlotsPerBlock; i > 0 && excess > 0; --i) {
      uint16_t& owner = table[block * kSlotsPerBlock + i - 1];
      if (owner != index) continue;
      owner = kNoGroup;
      --excess;
    }
    if (excess == 0) return;
  }
}

struct Wish {
  double score = 0;
  uint16_t group = 0;
  uint32_t block = 0;
};

// Every group that lacks slots bids for every block with free ones; the highest bid takes what it lacks.
void take_free(std::vector<uint16_t>& table, const std::vector<Group>& groups, std::vector<uint32_t> lacking) {
  std::vector<Wish> wishes;
  for (uint16_t group = 0; group < groups.size(); ++group) {
    if (lacking[group] == 0) continue;
    for (uint32_t block = 0; block < kBlockCount; ++block)
      wishes.push_back({score_of(groups[group], block), group, block});
  }
  std::ranges::sort(wishes, [&](const Wish& a, const Wish& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::tie(groups[a.group].id, a.block) < std::tie(groups[b.group].id, b.block);
  });
  for (const Wish& wish : wishes) {
    for (uint32_t i = 0; i < kSlotsPerBlock && lacking[wish.group] > 0; ++i) {
      uint16_t& owner = table[wish.block * kSlotsPerBlock + i];
      if (owner != kNoGroup) continue;
      owner = wish.group;
      --lacking[wish.group];
    }
  }
}

}  // namespace

SlotPlan plan_slots(const std::vector<uint16_t>& current, const std::vector<Group>& groups) {
  INVARIANT(current.empty() || current.size() == kSlotCount, current.size());
  INVARIANT(groups.size() < kNoGroup, groups.size());
  std::vector<uint16_t> before = current.empty() ? std::vector<uint16_t>(kSlotCount, kNoGroup) : current;
  for (uint16_t group : before) INVARIANT(group == kNoGroup || group < groups.size(), group, groups.size());

  std::vector<uint32_t> counts = count_slots(before, groups.size());
  std::vector<uint32_t> quotas = quotas_of(groups, counts);
  SlotPlan plan{.slot_groups = before, .moves = {}};
  std::vector<uint32_t> lacking(groups.size(), 0);
  for (uint16_t i = 0; i < groups.size(); ++i) {
    if (counts[i] > quotas[i])
      give_away(plan.slot_groups, i, groups[i], counts[i] - quotas[i]);
    else
      lacking[i] = quotas[i] - counts[i];
  }
  take_free(plan.slot_groups, groups, std::move(lacking));
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (before[slot] != plan.slot_groups[slot]) {
      plan.moves.push_back({static_cast<Slot>(slot), before[slot], plan.slot_groups[slot]});
    }
  }
  return plan;
}

}  // namespace tidemark
