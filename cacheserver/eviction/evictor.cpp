#include "cacheserver/eviction/evictor.h"

#include <fmt/format.h>

#include "cacheserver/eviction/adaptive_evictor.h"
#include "cacheserver/eviction/gdsf_evictor.h"
#include "cacheserver/eviction/lru_evictor.h"
#include "cacheserver/eviction/no_evictor.h"
#include "cacheserver/eviction/s3fifo_evictor.h"

namespace tidemark::cacheserver {

Result<std::unique_ptr<Evictor>> make_evictor(std::string_view name, ItemMemory memory, ItemSource& source) {
  if (name == "adaptive") return std::make_unique<AdaptiveEvictor>(Goal::kObjectHits, memory, source);
  if (name == "adaptive-byte") return std::make_unique<AdaptiveEvictor>(Goal::kByteHits, memory, source);
  if (name == "lru") return std::make_unique<LruEvictor>(memory);
  if (name == "s3fifo") return std::make_unique<S3FifoEvictor>(memory, source);
  if (name == "gdsf") return std::make_unique<GdsfEvictor>(memory, source);
  if (name == "noeviction") return std::make_unique<NoEvictor>(memory);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("unknown eviction policy '{}'; the policies are {}", name, kEvictorNames));
}

}  // namespace tidemark::cacheserver
