#include "cacheserver/io/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cacheserver/io/sockets.h"

namespace tidemark::cacheserver::io {

Mailbox::~Mailbox() {
  ::close(wake_);
}

bool Mailbox::push_requests(Batch& batch) {
  const size_t requests = batch->items.size(), bytes = batch->requests.size();
  bool needs_wake = false;
  {
    const std::lock_guard lock(mutex_);
    const bool has_room = requests_ + requests <= limits_.requests_max && bytes_ + bytes <= limits_.bytes_max;
    if (!has_room && requests_ > 0) {
      std::vector<uint32_t>& waiting = contents_.senders_waiting;
      if (std::ranges::find(waiting, batch->origin) == waiting.end()) waiting.push_back(batch->origin);
      return false;
    }
    requests_ += requests;
    bytes_ += bytes;
    contents_.batches.push_back(std::move(batch));
    needs_wake = !std::exchange(is_woken_, true);
  }
  if (needs_wake) wake();
  return true;
}

void Mailbox::push_answer(Batch batch) {
  bool needs_wake = false;
  {
    const std::lock_guard lock(mutex_);
    contents_.batches.push_back(std::move(batch));
    needs_wake = !std::exchange(is_woken_, true);
  }
  if (needs_wake) wake();
}

void Mailbox::take(Contents& into) {
  uint64_t wakes = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_, &wakes, sizeof wakes);
  const std::lock_guard lock(mutex_);
  std::swap(into, contents_);
  requests_ = bytes_ = 0;
  is_woken_ = false;
}

void Mailbox::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = ::write(wake_, &one, sizeof one);  // full: it is awake
}

Result<Mailboxes> open_mailboxes(uint32_t count) {
  Mailboxes mailboxes;
  for (uint32_t i = 0; i < count; ++i) {
    const int descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (descriptor < 0) return fail(ErrorCode::kUnavailable, system_error("eventfd"));
    mailboxes.push_back(std::make_unique<Mailbox>(descriptor));
  }
  return mailboxes;
}

}  // namespace tidemark::cacheserver::io
