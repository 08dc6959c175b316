// Carries forwarded requests and their answers between a worker and its siblings' mailboxes.
//
// Limits: Mailbox's. A batch that finds a mailbox full stays here; its sessions are not read from while they wait.
// Threads: its worker's. I/O: eventfds.
#pragma once

#include <memory>
#include <string_view>

#include "cacheserver/io/mailbox.h"
#include "cacheserver/serving/worker.h"

namespace tidemark::cacheserver::io {

class Post {
 public:
  // `worker` outlives it and forwards.
  Post(Worker& worker, std::shared_ptr<Mailboxes> mailboxes)
      : worker_(worker), forwarding_(*worker.forwarding()), mailboxes_(std::move(mailboxes)) {}

  int wake_descriptor() const { return own().wake_descriptor(); }

  // Puts what the sessions have forwarded into the siblings' mailboxes, as far as there is room.
  void send();
  // Takes what has come: runs siblings' requests, and calls on_answer(session, index, reply) for own ones.
  template <typename OnAnswer>
  void receive(Instant now, UnixMillis unix_now, OnAnswer on_answer) {
    take();
    for (Mailbox::Batch& batch : taken_.batches) {
      if (!batch->is_answered) {
        run(std::move(batch), now, unix_now);
        continue;
      }
      for (size_t i = 0; i < batch->items.size(); ++i) {
        on_answer(batch->items[i].session, batch->items[i].index, batch->reply(i));
      }
      forwarding_.recycle(std::move(batch));
    }
    taken_.batches.clear();
  }

 private:
  Mailbox& own() const { return *(*mailboxes_)[forwarding_.self()]; }
  void take();
  void run(Mailbox::Batch batch, Instant now, UnixMillis unix_now);

  Worker& worker_;
  Forwarding& forwarding_;
  std::shared_ptr<Mailboxes> mailboxes_;
  Mailbox::Contents taken_;
  std::vector<bool> is_full_;  // by sibling, during send()
};

}  // namespace tidemark::cacheserver::io
