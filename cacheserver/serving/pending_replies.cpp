#include "cacheserver/serving/pending_replies.h"

#include "base/invariant.h"

namespace tidemark::cacheserver {

uint32_t PendingReplies::expect(uint32_t owner) {
  replies_.push_back({.owner = owner});
  ++missing_;
  return static_cast<uint32_t>(replies_.size() - 1);
}

void PendingReplies::answer(uint32_t index, std::string_view reply) {
  INVARIANT(index < replies_.size() && missing_ > 0, index, replies_.size(), missing_);
  replies_[index].begin = bytes_.size();
  bytes_.append(reply);
  replies_[index].end = bytes_.size();
  --missing_;
}

std::string PendingReplies::merged() const {
  std::vector<uint32_t> owners;
  std::vector<std::string_view> replies;
  for (const Reply& reply : replies_) {
    owners.push_back(reply.owner);
    replies.push_back(text(reply));
  }
  std::string out;
  merge_replies(out, merge_, owners, workers_, replies);
  return out;
}

void PendingReplies::clear() {
  replies_.clear();
  bytes_.clear();
  if (bytes_.capacity() > kBytesKept) std::string().swap(bytes_);
  merge_ = Merge::kNone;
}

}  // namespace tidemark::cacheserver
