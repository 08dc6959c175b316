// Any bytes: the decoder of the Postgres stream answers a message or kCorrupt, and reads no byte that is not there.
#include "replication/wal/pgoutput_decoder.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto message = tidemark::replication::decode_pgoutput(as_text(data, size));
  FUZZ_CLAIM(message || message.error().code == tidemark::ErrorCode::kCorrupt);
  return 0;
}
