#include "cacheserver/session/reply_buffer.h"

namespace tidemark::cacheserver {

void ReplyBuffer::cut(size_t size) {
  bytes_.resize(size);
  while (!pinned_.empty() && pinned_.back().at > size) {  // never at the beginning of a reply: its length comes first
    pinned_bytes_ -= pinned_.back().value.bytes().size();
    pinned_.pop_back();
  }
}

void ReplyBuffer::clear() {
  bytes_.clear();
  pinned_.clear();
  pinned_bytes_ = 0;
}

}  // namespace tidemark::cacheserver
