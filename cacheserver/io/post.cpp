#include "cacheserver/io/post.h"

#include <utility>

namespace tidemark::cacheserver::io {

void Post::send() {
  std::vector<Mailbox::Batch>& outgoing = forwarding_.outgoing();
  if (outgoing.empty()) return;
  is_full_.assign(forwarding_.workers(), false);
  for (Mailbox::Batch& batch : outgoing) {
    const uint32_t owner = batch->owner;
    if (is_full_[owner]) continue;  // behind the one that waits
    is_full_[owner] = !(*mailboxes_)[owner]->push_requests(batch);
    if (is_full_[owner]) worker_.view().stats().mailbox_full.add();
  }
  std::erase(outgoing, nullptr);
}

void Post::take() {
  own().take(taken_);
  for (uint32_t sender : taken_.senders_waiting) (*mailboxes_)[sender]->wake();
  taken_.senders_waiting.clear();
}

void Post::run(Mailbox::Batch batch, Instant now, UnixMillis unix_now) {
  run_forwarded(worker_, *batch, now, unix_now);
  Mailbox& origin = *(*mailboxes_)[batch->origin];
  origin.push_answer(std::move(batch));
}

}  // namespace tidemark::cacheserver::io
