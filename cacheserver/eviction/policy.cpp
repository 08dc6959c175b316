#include "cacheserver/eviction/policy.h"

#include <fmt/format.h>

#include "cacheserver/eviction/s3fifo.h"
#include "cacheserver/eviction/sampled_lru.h"

namespace tidemark::cacheserver {

Result<std::unique_ptr<EvictionPolicy>> make_eviction_policy(std::string_view name) {
  if (name == "lru") return std::make_unique<SampledLru>();
  if (name == "s3fifo") return std::make_unique<S3Fifo>();
  if (name == "noeviction") return std::make_unique<NoEviction>();
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("unknown eviction policy '{}'; the policies are {}", name, kPolicyNames));
}

}  // namespace tidemark::cacheserver
