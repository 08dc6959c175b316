// The seal of session tokens (OpenSSL's HMAC) and the session that threads share.
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <mutex>

#include "base/base64url.h"
#include "base/invariant.h"
#include "base/io/random_source.h"
#include "client/database.h"
#include "client/session_token.h"

namespace tidemark::client {
namespace {

constexpr size_t kMacBytes = 8;

std::string mac_of(std::string_view bytes, const TokenKey& key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  const auto* made = HMAC(EVP_sha256(), key.bytes().data(), static_cast<int>(key.bytes().size()),
                          reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data(), &length);
  INVARIANT(made != nullptr && length >= kMacBytes, length);
  return {reinterpret_cast<const char*>(digest.data()), kMacBytes};
}

}  // namespace

Result<TokenKey> TokenKey::of_bytes(std::string bytes) {
  if (bytes.size() < kBytesMin) {
    return fail(ErrorCode::kInvalidArgument, "a token key of " + std::to_string(bytes.size()) + " bytes: at least " +
                                                 std::to_string(kBytesMin) + " are needed");
  }
  return TokenKey(std::move(bytes));
}

TokenKey TokenKey::random() {
  return TokenKey(io::random_hex(kBytesMin));
}

std::string SessionToken::to_text(const TokenKey& key) const {
  if (is_empty()) return {};
  std::string bytes = encode();
  return encode_base64url(bytes + mac_of(bytes, key));
}

Result<SessionToken> SessionToken::from_text(std::string_view text, const TokenKey& key) {
  if (text.empty()) return SessionToken{};
  if (text.size() > kTextBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "session token: " + std::to_string(text.size()) +
                                                 " bytes, it has at most " + std::to_string(kTextBytesMax));
  }
  auto bytes = decode_base64url(text);
  if (!bytes || bytes->size() <= kMacBytes) return fail(ErrorCode::kInvalidArgument, "session token: not a token");
  const std::string_view body = std::string_view(*bytes).substr(0, bytes->size() - kMacBytes);
  const std::string mac = mac_of(body, key);
  if (CRYPTO_memcmp(mac.data(), bytes->data() + body.size(), kMacBytes) != 0) {
    return fail(ErrorCode::kInvalidArgument,
                "session token: its seal was made with another key, or it was changed on its way");
  }
  return decode(body);
}

struct Session::State {
  mutable std::mutex mutex;
  SessionToken token;
};

Session::Session() : state_(std::make_unique<State>()) {}
Session::Session(SessionToken token) : Session() {
  state_->token = std::move(token);
}
Session::~Session() = default;

Result<std::shared_ptr<Session>> Session::from_text(std::string_view text, const TokenKey& key) {
  auto token = SessionToken::from_text(text, key);
  if (!token) return std::unexpected(token.error());
  return std::make_shared<Session>(std::move(*token));
}

void Session::absorb(const CommitToken& commit) {
  std::lock_guard lock(state_->mutex);
  state_->token.absorb_write(commit.shard(), commit.db_epoch(), commit.lsn());
}

void Session::absorb_read(ShardId shard, DbEpoch db_epoch, Lsn hi, bool is_visible_on_primary) {
  std::lock_guard lock(state_->mutex);
  state_->token.absorb_read(shard, db_epoch, hi, is_visible_on_primary);
}

void Session::absorb_proven(ShardId shard, DbEpoch db_epoch, Lsn lsn) {
  std::lock_guard lock(state_->mutex);
  state_->token.absorb_proven(shard, db_epoch, lsn);
}

void Session::absorb(const SessionToken& token) {
  std::lock_guard lock(state_->mutex);
  state_->token.absorb(token);
}

SessionToken Session::token() const {
  std::lock_guard lock(state_->mutex);
  return state_->token;
}

}  // namespace tidemark::client
