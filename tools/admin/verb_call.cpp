// tidemarkctl call ADDRESS SERVICE/METHOD JSON: any method of any gRPC server that has reflection.
//
//   tidemarkctl call 127.0.0.1:7400 tidemark.catalog.v1.Catalog/GetProduct '{"sku":"bash"}' -v
//   tidemarkctl call --list 127.0.0.1:7400
//
// A method that takes a stream is given several JSON objects, one after the other, or a list of them. @FILE is the text
// of a file, - is standard input.
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/admin/generic_call.h"
#include "tools/admin/reflection.h"
#include "tools/admin/verb.h"

namespace tidemark::admin {
namespace {

namespace protobuf = google::protobuf;

struct CallOptions {
  std::string address, method;
  std::vector<std::string> bodies;
  std::vector<std::string> metadata;
  Duration deadline = std::chrono::seconds(5);
  bool is_list = false;
  bool is_verbose = false;
};

Status print_services(Reflection& reflection) {
  auto names = reflection.list_services();
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    std::cout << name << "\n";
    auto service = reflection.find_service(name);
    if (!service) continue;
    for (int i = 0; i < (*service)->method_count(); ++i) {
      const auto* method = (*service)->method(i);
      std::cout << "  " << method->name() << "(" << (method->client_streaming() ? "stream " : "")
                << method->input_type()->full_name() << ") returns (" << (method->server_streaming() ? "stream " : "")
                << method->output_type()->full_name() << ")\n";
    }
  }
  return {};
}

Result<const protobuf::MethodDescriptor*> find_method(Reflection& reflection, const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == path.size()) {
    return fail(ErrorCode::kInvalidArgument, "\"" + path + "\" is no package.Service/Method");
  }
  std::string name = path.substr(path.starts_with('/') ? 1 : 0, slash - (path.starts_with('/') ? 1 : 0));
  auto service = reflection.find_service(name);
  if (!service) return std::unexpected(service.error());
  const auto* method = (*service)->FindMethodByName(path.substr(slash + 1));
  if (method != nullptr) return method;
  std::string all;
  for (int i = 0; i < (*service)->method_count(); ++i) all += " " + (*service)->method(i)->name();
  return fail(ErrorCode::kInvalidArgument, name + " has no method " + path.substr(slash + 1) + "; there are:" + all);
}

// A list in one argument is the messages of a stream.
Result<std::vector<std::string>> split_bodies(const std::vector<std::string>& given, bool is_stream) {
  std::vector<std::string> bodies;
  for (const std::string& argument : given) {
    std::string text = argument;
    if (argument == "-" || argument.starts_with('@')) {
      Result<std::string> read = read_text_file(argument == "-" ? argument : argument.substr(1));
      if (!read) return std::unexpected(read.error());
      text = std::move(*read);
    }
    auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return fail(ErrorCode::kInvalidArgument, "\"" + argument + "\" is no JSON");
    if (!json.is_array())
      bodies.push_back(text);
    else
      for (const auto& item : json) bodies.push_back(item.dump());
  }
  if (bodies.empty() && !is_stream) bodies.emplace_back("{}");
  if (bodies.size() != 1 && !is_stream)
    return fail(ErrorCode::kInvalidArgument, "the method takes one message, not a stream");
  return bodies;
}

Result<std::vector<std::string>> encode_requests(const protobuf::MethodDescriptor& method,
                                                 const std::vector<std::string>& bodies,
                                                 protobuf::DynamicMessageFactory& factory) {
  std::vector<std::string> requests;
  for (const std::string& body : bodies) {
    std::unique_ptr<protobuf::Message> message(factory.GetPrototype(method.input_type())->New());
    auto status = protobuf::util::JsonStringToMessage(body, message.get());
    if (!status.ok())
      return fail(ErrorCode::kInvalidArgument, method.input_type()->full_name() + ": " + std::string(status.message()));
    requests.push_back(message->SerializeAsString());
  }
  return requests;
}

Status print_reply(const protobuf::MethodDescriptor& method, const std::string& bytes,
                   protobuf::DynamicMessageFactory& factory) {
  std::unique_ptr<protobuf::Message> message(factory.GetPrototype(method.output_type())->New());
  std::string text;
  protobuf::util::JsonPrintOptions form;
  form.add_whitespace = true;
  form.always_print_primitive_fields = true;
  form.preserve_proto_field_names = true;
  if (!message->ParseFromString(bytes) || !protobuf::util::MessageToJsonString(*message, &text, form).ok()) {
    return fail(ErrorCode::kCorrupt, "the answer is no " + method.output_type()->full_name());
  }
  std::cout << text;
  return {};
}

Result<std::vector<std::pair<std::string, std::string>>> parse_metadata(const std::vector<std::string>& given) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& text : given) {
    size_t at = text.find(':');
    if (at == std::string::npos || at == 0)
      return fail(ErrorCode::kInvalidArgument, "metadata \"" + text + "\" is no name:value");
    pairs.emplace_back(text.substr(0, at), text.substr(text.find_first_not_of(' ', at + 1) == std::string::npos
                                                           ? text.size()
                                                           : text.find_first_not_of(' ', at + 1)));
  }
  return pairs;
}

Status run_call(const CallOptions& options) {
  auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(options.deadline);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kReplyBytesMax);
  auto channel = grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
  Reflection reflection(channel, timeout);
  if (options.is_list) return print_services(reflection);
  if (options.method.empty()) return fail(ErrorCode::kInvalidArgument, "SERVICE/METHOD is needed, or --list");
  auto method = find_method(reflection, options.method);
  if (!method) return std::unexpected(method.error());
  auto bodies = split_bodies(options.bodies, (*method)->client_streaming());
  if (!bodies) return std::unexpected(bodies.error());
  protobuf::DynamicMessageFactory factory(&reflection.pool());
  auto requests = encode_requests(**method, *bodies, factory);
  if (!requests) return std::unexpected(requests.error());
  auto metadata = parse_metadata(options.metadata);
  if (!metadata) return std::unexpected(metadata.error());

  std::string path = "/" + (*method)->service()->full_name() + "/" + (*method)->name();
  CallOutcome outcome = call_method(channel, path, *requests, *metadata, timeout);
  for (const std::string& reply : outcome.replies) {
    if (Status printed = print_reply(**method, reply, factory); !printed) return printed;
  }
  if (options.is_verbose) {
    for (const auto& [name, value] : outcome.headers) std::cerr << "header  " << name << ": " << value << "\n";
    for (const auto& [name, value] : outcome.trailers) std::cerr << "trailer " << name << ": " << value << "\n";
    std::cerr << "status  " << status_name(outcome.status_code) << "\n";
  }
  if (outcome.status_code == 0) return {};
  return fail(ErrorCode::kInternal,
              "the server answered " + status_name(outcome.status_code) + ": " + outcome.status_message);
}

}  // namespace

Verb add_call_verb(io::Options& root) {
  auto given = std::make_shared<CallOptions>();
  io::Options& verb = root.verb("call", "call a gRPC method: ADDRESS package.Service/Method JSON…");
  verb.positional("address", given->address, true, "HOST:PORT of the server");
  verb.positional("method", given->method, false, "package.Service/Method");
  verb.positionals("json", given->bodies, 0, "the request, @FILE or -; several for a method that takes a stream");
  verb.texts("metadata", given->metadata, "name:value to send along");
  verb.duration("deadline", given->deadline, "of the call");
  verb.flag("list", given->is_list, "list services and methods instead");
  verb.flag("verbose", given->is_verbose, "show headers, trailers and status too", 'v');
  return {&verb, [given] { return run_call(*given); }};
}

}  // namespace tidemark::admin
