#include "shardrouter/routing/bucket_refusal.h"

#include <array>
#include <limits>

#include "base/parse.h"

namespace tidemark::shardrouter {
namespace {

constexpr std::array<std::pair<BucketState, std::string_view>, 6> kStates{{{BucketState::kOwned, "owned"},
                                                                           {BucketState::kFenced, "fenced"},
                                                                           {BucketState::kMoved, "moved"},
                                                                           {BucketState::kImporting, "importing"},
                                                                           {BucketState::kAborted, "aborted"},
                                                                           {BucketState::kAbsent, "absent"}}};

// "name=value" -> value
std::optional<std::string_view> field(std::string_view piece, std::string_view name) {
  if (!piece.starts_with(name) || piece.size() <= name.size() || piece[name.size()] != '=') return std::nullopt;
  return piece.substr(name.size() + 1);
}

}  // namespace

std::string_view to_string(BucketState state) {
  for (const auto& [value, name] : kStates)
    if (value == state) return name;
  return "absent";
}

std::optional<BucketState> parse_bucket_state(std::string_view text) {
  for (const auto& [value, name] : kStates)
    if (name == text) return value;
  return std::nullopt;
}

std::string BucketRefusal::to_string() const {
  std::string text = "state=";
  text += shardrouter::to_string(state);
  text += " epoch=" + std::to_string(epoch);
  text += " forward=" + (forward ? std::to_string(*forward) : std::string("-"));
  return text;
}

std::optional<BucketRefusal> BucketRefusal::parse(std::string_view detail) {
  const auto pieces = split(detail, ' ');
  if (pieces.size() != 3) return std::nullopt;
  const auto state_text = field(pieces[0], "state");
  const auto epoch_text = field(pieces[1], "epoch");
  const auto forward_text = field(pieces[2], "forward");
  if (!state_text || !epoch_text || !forward_text) return std::nullopt;
  const auto state = parse_bucket_state(*state_text);
  const auto epoch = parse_u64(*epoch_text);
  if (!state || !epoch || *epoch > std::numeric_limits<BucketEpoch>::max()) return std::nullopt;
  BucketRefusal refusal{*state, static_cast<BucketEpoch>(*epoch), std::nullopt};
  if (*forward_text != "-") {
    const auto forward = parse_u64(*forward_text);
    if (!forward || *forward > std::numeric_limits<ShardId>::max()) return std::nullopt;
    refusal.forward = static_cast<ShardId>(*forward);
  }
  return refusal;
}

std::optional<BucketRefusal> refusal_of(const Error& error) {
  if (error.code != ErrorCode::kFailedPrecondition || error.message.find("SH001") == std::string::npos)
    return std::nullopt;
  const size_t start = error.message.rfind("state=");
  if (start == std::string::npos) return std::nullopt;
  return BucketRefusal::parse(std::string_view(error.message).substr(start));
}

}  // namespace tidemark::shardrouter
