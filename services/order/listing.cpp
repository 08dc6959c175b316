#include "services/order/listing.h"

#include <algorithm>
#include <utility>

#include "base/parse.h"
#include "services/order/validation.h"
#include "services/platform/page_token.h"

namespace tidemark::order {
namespace {

using catalog::WorstFreshness;
using client::ReadOptions;
using Done = client::Callback<Result<WorstFreshness>>;

std::string scope_of(int64_t customer_id) {
  return "orders/" + std::to_string(customer_id);
}

template <typename V>
void note_freshness(const client::Cached<V>& answer, WorstFreshness& worst) {
  if (worst.origin.empty() || catalog::is_worse(answer.staleness_ms(), worst.staleness_ms)) {
    worst = {std::string(client::to_string(answer.origin())), answer.staleness_ms()};
  }
}

class Listing : public std::enable_shared_from_this<Listing> {
 public:
  Listing(std::shared_ptr<OrderStore> store, ListPage page, ReadOptions options, pb::ListOrdersResponse* response,
          Done done)
      : store_(std::move(store)),
        page_(page),
        options_(std::move(options)),
        response_(response),
        done_(std::move(done)) {}

  void begin() {
    store_->newest(page_.customer_id, options_, [self = shared_from_this()](NewestAnswer answer) {
      if (!answer) return self->done_(std::unexpected(answer.error()));
      note_freshness(*answer, self->worst_);
      self->on_newest(answer->has_value() ? answer->value() : pb::NewestOrders());
    });
  }

 private:
  // Does the key's value hold the page, and know whether there is another one?
  void on_newest(const pb::NewestOrders& newest) {
    std::vector<int64_t> ids;
    for (int64_t id : newest.ids()) {
      if (page_.below == 0 || id < page_.below) ids.push_back(id);
    }
    const bool is_all = newest.ids_size() < kNewestOrdersMax;
    if (is_all || ids.size() > static_cast<size_t>(page_.size)) return show(std::move(ids));
    ask_older();
  }

  void ask_older() {
    const int64_t below = page_.below == 0 ? INT64_MAX : page_.below;
    store_->older(page_.customer_id, below, page_.size + 1, options_,
                  [self = shared_from_this()](Result<std::vector<int64_t>> ids) {
                    if (!ids) return self->done_(std::unexpected(ids.error()));
                    self->show(std::move(*ids));
                  });
  }

  void show(std::vector<int64_t> ids) {
    if (ids.size() > static_cast<size_t>(page_.size)) {
      ids.resize(static_cast<size_t>(page_.size));
      response_->set_next_page_token(services::page_token(scope_of(page_.customer_id), std::to_string(ids.back())));
    }
    if (ids.empty()) return finish();
    store_->get_many(ids, options_, [self = shared_from_this(), ids](std::vector<OrderAnswer> answers) {
      for (size_t i = 0; i < ids.size(); ++i) {
        if (!answers[i]) {
          return self->done_(std::unexpected(answers[i].error().with_context("order " + std::to_string(ids[i]))));
        }
        note_freshness(*answers[i], self->worst_);
        // An order that the list has and its own key has not yet: that answer is older than the list.
        if (answers[i]->has_value()) *self->response_->add_orders() = answers[i]->value();
      }
      self->finish();
    });
  }

  void finish() {
    response_->mutable_freshness()->set_origin(worst_.origin);
    response_->mutable_freshness()->set_staleness_ms(worst_.staleness_ms);
    done_(std::move(worst_));
  }

  std::shared_ptr<OrderStore> store_;
  ListPage page_;
  ReadOptions options_;
  pb::ListOrdersResponse* response_;
  Done done_;
  WorstFreshness worst_;
};

}  // namespace

Result<ListPage> page_of(const pb::ListOrdersRequest& request) {
  if (Status checked = check_list(request); !checked) return std::unexpected(checked.error());
  ListPage page{.customer_id = request.customer_id(),
                .size = request.page_size() == 0 ? kPageSizeDefault : request.page_size()};
  if (request.page_token().empty()) return page;
  auto position = services::read_page_token(scope_of(page.customer_id), request.page_token());
  if (!position) return std::unexpected(position.error());
  auto below = parse_i64(*position);
  if (!below || *below <= 0) return fail(ErrorCode::kInvalidArgument, "page_token: it holds no order id");
  page.below = *below;
  return page;
}

void show_page(std::shared_ptr<OrderStore> store, ListPage page, ReadOptions options, pb::ListOrdersResponse* response,
               Done done) {
  std::make_shared<Listing>(std::move(store), page, std::move(options), response, std::move(done))->begin();
}

}  // namespace tidemark::order
