#include "tools/admin/generic_call.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <array>

namespace tidemark::admin {
namespace {

// The operations go one after the other, so the only event on the queue is the one waited for.
bool wait_for(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool is_ok = false;
  return queue.Next(&tag, &is_ok) && is_ok;
}

grpc::ByteBuffer to_buffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return {&slice, 1};
}

std::string to_text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

std::vector<std::pair<std::string, std::string>> to_pairs(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : metadata)
    pairs.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  return pairs;
}

}  // namespace

CallOutcome call_method(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::vector<std::string>& requests,
                        const std::vector<std::pair<std::string, std::string>>& metadata,
                        std::chrono::milliseconds timeout) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, method, &queue);
  CallOutcome outcome;
  call->StartCall(nullptr);
  bool is_open = wait_for(queue);
  for (size_t i = 0; is_open && i < requests.size(); ++i) {
    call->Write(to_buffer(requests[i]), nullptr);
    is_open = wait_for(queue);
  }
  if (is_open) {
    call->WritesDone(nullptr);
    is_open = wait_for(queue);
  }
  while (is_open) {
    grpc::ByteBuffer reply;
    call->Read(&reply, nullptr);
    is_open = wait_for(queue);
    if (is_open) outcome.replies.push_back(to_text(reply));
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait_for(queue);
  outcome.headers = to_pairs(context.GetServerInitialMetadata());
  outcome.trailers = to_pairs(context.GetServerTrailingMetadata());
  outcome.status_code = status.error_code();
  outcome.status_message = status.error_message();
  queue.Shutdown();
  wait_for(queue);
  return outcome;
}

std::string status_name(int code) {
  static constexpr std::array<const char*, 17> kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return code >= 0 && code < static_cast<int>(kNames.size()) ? kNames[static_cast<size_t>(code)] : std::to_string(code);
}

}  // namespace tidemark::admin
