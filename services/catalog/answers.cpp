#include "services/catalog/answers.h"

#include "services/platform/grpc_call.h"

namespace tidemark::catalog {

bool is_worse(int64_t staleness_ms, int64_t than_ms) {
  if (than_ms == client::kStalenessUnknown) return false;
  return staleness_ms == client::kStalenessUnknown || staleness_ms > than_ms;
}

client::ReadOptions read_options(Duration timeout, std::optional<int64_t> max_stale_ms, bool is_cache_bypassed) {
  client::ReadOptions options{.timeout = timeout, .is_cache_bypassed = is_cache_bypassed};
  if (max_stale_ms) options.max_stale = std::chrono::milliseconds(*max_stale_ms);
  if (max_stale_ms == 0) {
    options.is_cache_bypassed = true;
    options.may_use_replica = false;
  }
  return options;
}

void set_freshness(const client::Cached<pb::Product>& answer, pb::Freshness& freshness) {
  freshness.set_origin(std::string(client::to_string(answer.origin())));
  freshness.set_staleness_ms(answer.staleness_ms());
}

std::optional<WorstFreshness> fill_batch(const std::vector<std::string>& skus,
                                         const std::vector<ProductAnswer>& answers,
                                         pb::BatchGetProductsResponse& response) {
  std::optional<WorstFreshness> worst;
  for (size_t i = 0; i < skus.size(); ++i) {
    pb::BatchGetProductsResponse::Answer& out = *response.add_answers();
    out.set_sku(skus[i]);
    if (!answers[i]) {
      grpc::Status status = services::to_grpc_status(answers[i].error());
      out.set_error_code(status.error_code());
      out.set_error_message(status.error_message());
      continue;
    }
    if (answers[i]->has_value()) *out.mutable_product() = answers[i]->value();
    set_freshness(*answers[i], *out.mutable_freshness());
    if (!worst || is_worse(out.freshness().staleness_ms(), worst->staleness_ms)) {
      worst = {out.freshness().origin(), out.freshness().staleness_ms()};
    }
  }
  return worst;
}

}  // namespace tidemark::catalog
