#include "services/catalog/listing.h"

#include <utility>

#include "services/catalog/validation.h"
#include "services/platform/page_token.h"

namespace tidemark::catalog {
namespace {

constexpr int32_t kPageSizeDefault = 20;

Result<Page> finish_page(Page page, int32_t page_size, const std::string& page_token) {
  if (Status checked = check_page_size(page_size); !checked) return std::unexpected(checked.error());
  page.range.limit = static_cast<size_t>(page_size == 0 ? kPageSizeDefault : page_size);
  if (page_token.empty()) return page;
  auto after = services::read_page_token(page.scope, page_token);
  if (!after) return std::unexpected(after.error());
  if (Status checked = check_sku(*after); !checked) return std::unexpected(checked.error().with_context("page_token"));
  page.range.after = std::move(*after);
  return page;
}

void fill_page(const std::vector<std::string>& skus, std::vector<ProductAnswer> answers, const SkuPage& listed,
               pb::ListProductsResponse& response, client::Callback<Result<WorstFreshness>> done) {
  WorstFreshness worst{std::string(client::to_string(listed.origin)), listed.staleness_ms};
  for (size_t i = 0; i < skus.size(); ++i) {
    const ProductAnswer& answer = answers[i];
    if (!answer) return done(std::unexpected(answer.error().with_context("sku \"" + skus[i] + "\"")));
    if (is_worse(answer->staleness_ms(), worst.staleness_ms)) {
      worst = {std::string(client::to_string(answer->origin())), answer->staleness_ms()};
    }
    if (answer->has_value()) *response.add_products() = answer->value();
  }
  response.mutable_freshness()->set_origin(worst.origin);
  response.mutable_freshness()->set_staleness_ms(worst.staleness_ms);
  done(std::move(worst));
}

}  // namespace

Result<Page> page_of(const pb::ListSectionRequest& request) {
  if (Status checked = check_section(request.section()); !checked) return std::unexpected(checked.error());
  Page page{.range = {.section = request.section()}, .scope = "section/" + request.section()};
  return finish_page(std::move(page), request.page_size(), request.page_token());
}

Result<Page> page_of(const pb::SearchProductsRequest& request) {
  if (Status checked = check_prefix(request.prefix()); !checked) return std::unexpected(checked.error());
  Page page{.range = {.prefix = request.prefix()}, .scope = "prefix/" + request.prefix()};
  return finish_page(std::move(page), request.page_size(), request.page_token());
}

void show_page(std::shared_ptr<ProductStore> store, Page page, client::ReadOptions options,
               pb::ListProductsResponse* response, client::Callback<Result<WorstFreshness>> done) {
  const size_t page_size = page.range.limit++;  // one more tells whether there is a next page
  SkuRange range = page.range;
  store->list_skus(std::move(range), options,
                   [store, scope = std::move(page.scope), page_size, options, response,
                    done = std::move(done)](Result<SkuPage> listed) mutable {
                     if (!listed) return done(std::unexpected(listed.error()));
                     std::vector<std::string> skus = std::move(listed->skus);
                     if (skus.size() > page_size) {
                       skus.resize(page_size);
                       response->set_next_page_token(services::page_token(scope, skus.back()));
                     }
                     if (skus.empty()) return fill_page(skus, {}, *listed, *response, std::move(done));
                     store->get_many(skus, options,
                                     [skus, listed = std::move(*listed), response,
                                      done = std::move(done)](std::vector<ProductAnswer> answers) mutable {
                                       fill_page(skus, std::move(answers), listed, *response, std::move(done));
                                     });
                   });
}

}  // namespace tidemark::catalog
