#include "tools/shards/move/change_stream.h"

#include <endian.h>
#include <fmt/format.h>
#include <libpq-fe.h>

#include <cstring>

namespace tidemark::shards {
namespace {

constexpr size_t kDataHeader = 25;      // 'w', start, end, time
constexpr size_t kKeepaliveBytes = 18;  // 'k', end, time, wants reply

uint64_t read_u64(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return be64toh(value);
}

void write_u64(char* at, uint64_t value) {
  const uint64_t big = htobe64(value);
  std::memcpy(at, &big, sizeof big);
}

}  // namespace

void ChangeStream::Free::operator()(char* text) const {
  PQfreemem(text);
}

Result<ChangeStream> ChangeStream::start(PgLink link, const std::string& slot, const std::string& publication,
                                         Lsn from) {
  ChangeStream stream(std::move(link));
  const auto started = stream.link_.script(
      fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names '{}')", slot,
                  from.to_string(), publication));
  if (!started) return std::unexpected(started.error().with_context("slot " + slot));
  stream.confirmed_ = stream.received_ = from;
  return stream;
}

bool ChangeStream::has_reached(Lsn position) const {
  if (is_in_transaction_) return false;
  if (is_held_) return stop_at_ && *stop_at_ <= position;
  return idle_until_ >= position;
}

Result<std::optional<std::string_view>> ChangeStream::next() {
  using Message = std::optional<std::string_view>;
  while (true) {
    if (!is_held_) {
      char* bytes = nullptr;
      int size = PQgetCopyData(link_.raw(), &bytes, /*async=*/1);
      if (size == 0) {
        if (PQconsumeInput(link_.raw()) != 1) return std::unexpected(link_.error().with_context("stream"));
        size = PQgetCopyData(link_.raw(), &bytes, 1);
      }
      if (size == 0) return Message();
      if (size < 0) return std::unexpected(link_.error().with_context("the stream has ended"));
      frame_.reset(bytes);
      frame_size_ = static_cast<size_t>(size);
    }
    const char* frame = frame_.get();
    if (frame[0] == 'k' && frame_size_ >= kKeepaliveBytes) {
      const Lsn end{read_u64(frame + 1)};
      received_ = std::max(received_, end);
      if (!is_in_transaction_) idle_until_ = std::max(idle_until_, end);
      if (frame[17] != 0) {
        const Status sent = send_status(confirmed_, false);
        if (!sent) return std::unexpected(sent.error());
      }
      continue;
    }
    if (frame[0] != 'w' || frame_size_ <= kDataHeader) return fail(ErrorCode::kCorrupt, "a frame that is no frame");
    received_ = std::max(received_, Lsn{read_u64(frame + 9)});
    const std::string_view message(frame + kDataHeader, frame_size_ - kDataHeader);
    if (message[0] == 'B' && message.size() >= 9) {
      const Lsn commit{read_u64(message.data() + 1)};
      is_held_ = stop_at_ && commit >= *stop_at_;
      if (is_held_) return Message();
      is_in_transaction_ = true;
    }
    if (message[0] == 'C') is_in_transaction_ = false;
    is_held_ = false;
    return Message(message);
  }
}

Status ChangeStream::send_status(Lsn confirmed, bool wants_reply) {
  confirmed_ = std::max(confirmed_, confirmed);
  char message[34] = {'r'};
  write_u64(message + 1, confirmed_.value);
  write_u64(message + 9, confirmed_.value);
  write_u64(message + 17, confirmed_.value);
  message[33] = wants_reply ? 1 : 0;
  if (PQputCopyData(link_.raw(), message, sizeof message) != 1 || PQflush(link_.raw()) < 0)
    return std::unexpected(link_.error().with_context("stream"));
  return {};
}

}  // namespace tidemark::shards
