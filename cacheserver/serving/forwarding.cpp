#include "cacheserver/serving/forwarding.h"

#include <charconv>
#include <utility>

#include "base/invariant.h"
#include "cacheserver/serving/worker.h"

namespace tidemark::cacheserver {
namespace {

void append_head(std::string& out, char type, size_t number) {
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  out.push_back(type);
  out.append(digits, end);
  out.append("\r\n");
}

// Parses the items from `first` on into the round, as many as it takes; returns how many.
size_t parse_items(const ForwardedBatch& batch, size_t first, RequestRound& round) {
  size_t count = 0;
  for (; first + count < batch.items.size() && !round.is_full(); ++count) {
    RequestParser parser({.bulk_bytes_max = SIZE_MAX / 4});  // the origin has applied its limits
    std::string_view request = batch.request(first + count);
    const auto outcome = round.parse(parser, request);
    INVARIANT(outcome == RequestParser::Outcome::kRequest, first + count, parser.error());
  }
  return count;
}

}  // namespace

ForwardedBatch& Forwarding::batch_for(uint32_t owner) {
  for (auto batch = outgoing_.rbegin(); batch != outgoing_.rend(); ++batch) {
    if ((*batch)->owner != owner) continue;
    if ((*batch)->items.size() < kBatchRequestsMax && (*batch)->requests.size() < kBatchBytesMax) return **batch;
    break;
  }
  if (idle_.empty()) {
    outgoing_.push_back(std::make_unique<ForwardedBatch>());
  } else {
    outgoing_.push_back(std::move(idle_.back()));
    idle_.pop_back();
  }
  ForwardedBatch& batch = *outgoing_.back();
  batch.origin = self_;
  batch.owner = owner;
  return batch;
}

void Forwarding::close_item(ForwardedBatch& batch, const Session& session, uint32_t index) {
  batch.items.push_back({.session = session.id,
                         .index = index,
                         .protocol = session.protocol,
                         .user = session.user,
                         .request_end = batch.requests.size()});
}

void Forwarding::add(uint32_t owner, const Session& session, uint32_t index, std::string_view request) {
  ForwardedBatch& batch = batch_for(owner);
  batch.requests.append(request);
  close_item(batch, session, index);
}

void Forwarding::add(uint32_t owner, const Session& session, uint32_t index, Arguments request) {
  ForwardedBatch& batch = batch_for(owner);
  append_head(batch.requests, '*', request.size());
  for (std::string_view argument : request) {
    append_head(batch.requests, '$', argument.size());
    batch.requests.append(argument);
    batch.requests.append("\r\n");
  }
  close_item(batch, session, index);
}

void Forwarding::recycle(Batch batch) {
  if (idle_.size() >= kBatchesKept) return;
  if (batch->requests.capacity() + batch->replies.capacity() > kBatchBytesKept) return;
  batch->requests.clear();
  batch->items.clear();
  batch->replies.clear();
  batch->is_answered = false;
  idle_.push_back(std::move(batch));
}

void run_forwarded(Worker& worker, ForwardedBatch& batch, Instant now, UnixMillis unix_now) {
  Session& guest = worker.guest();
  RequestRound& round = worker.own_round();
  for (size_t first = 0; first < batch.items.size();) {
    const size_t count = parse_items(batch, first, round);
    round.load(worker.keyspace());
    for (size_t i = 0; i < count; ++i) {
      ForwardedBatch::Item& item = batch.items[first + i];
      guest.user = item.user;
      RespWriter reply(batch.replies, item.protocol);
      CommandContext context{worker.keyspace(), worker.freshness(), guest, worker.view(), reply, now, unix_now};
      worker.timer().before(round.found(i).row, round.arguments(i), guest, unix_now);
      context.keyspace.expect(round.refs(i));
      worker.dispatcher().execute(context, round.found(i), round.arguments(i));
      item.reply_end = batch.replies.size();
    }
    worker.keyspace().expect({});
    worker.finish(round);
    first += count;
  }
  worker.view().stats().forwarded_here.add(batch.items.size());
  batch.is_answered = true;
}

}  // namespace tidemark::cacheserver
