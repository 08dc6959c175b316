#include "tools/admin/reflection.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/message.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>

#include "tools/admin/generic_call.h"

namespace tidemark::admin {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr const char* kMethod = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

std::unique_ptr<Message> make_message(const std::string& name) {
  // Naming the plugin keeps the linker from leaving out the library, and with it the descriptors.
  [[maybe_unused]] static volatile auto keep = &grpc::reflection::InitProtoReflectionServerBuilderPlugin;
  const Descriptor* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (descriptor == nullptr) return nullptr;
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

const FieldDescriptor* field_of(const Message& message, const std::string& name) {
  return message.GetDescriptor()->FindFieldByName(name);
}

// The set sub-message `name`, or nullptr.
const Message* child_of(const Message& message, const std::string& name) {
  const FieldDescriptor* field = field_of(message, name);
  if (field == nullptr || !message.GetReflection()->HasField(message, field)) return nullptr;
  return &message.GetReflection()->GetMessage(message, field);
}

std::string text_of(const Message& message, const std::string& name) {
  const FieldDescriptor* field = field_of(message, name);
  return field == nullptr ? std::string() : message.GetReflection()->GetString(message, field);
}

// gRPC's own health service has no descriptors: it works on bytes. This is its published contract.
google::protobuf::FileDescriptorProto health_file() {
  using Field = google::protobuf::FieldDescriptorProto;
  google::protobuf::FileDescriptorProto file;
  file.set_name("grpc/health/v1/health.proto");
  file.set_package("grpc.health.v1");
  file.set_syntax("proto3");
  auto* request = file.add_message_type();
  request->set_name("HealthCheckRequest");
  auto* service_name = request->add_field();
  service_name->set_name("service");
  service_name->set_number(1);
  service_name->set_type(Field::TYPE_STRING);
  service_name->set_label(Field::LABEL_OPTIONAL);
  auto* reply = file.add_message_type();
  reply->set_name("HealthCheckResponse");
  auto* states = reply->add_enum_type();
  states->set_name("ServingStatus");
  for (const char* name : {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}) {
    auto* state = states->add_value();
    state->set_number(states->value_size() - 1);
    state->set_name(name);
  }
  auto* status = reply->add_field();
  status->set_name("status");
  status->set_number(1);
  status->set_type(Field::TYPE_ENUM);
  status->set_type_name(".grpc.health.v1.HealthCheckResponse.ServingStatus");
  status->set_label(Field::LABEL_OPTIONAL);
  auto* service = file.add_service();
  service->set_name("Health");
  auto* check = service->add_method();
  check->set_name("Check");
  check->set_input_type(".grpc.health.v1.HealthCheckRequest");
  check->set_output_type(".grpc.health.v1.HealthCheckResponse");
  return file;
}

}  // namespace

Reflection::Reflection(std::shared_ptr<grpc::Channel> channel, std::chrono::milliseconds timeout)
    : channel_(std::move(channel)), timeout_(timeout) {
  database_.Add(health_file());
}

Result<std::unique_ptr<Message>> Reflection::ask(const std::string& field, const std::string& value) {
  std::unique_ptr<Message> request = make_message("grpc.reflection.v1alpha.ServerReflectionRequest");
  std::unique_ptr<Message> reply = make_message("grpc.reflection.v1alpha.ServerReflectionResponse");
  if (!request || !reply) return fail(ErrorCode::kInternal, "this build holds no types of gRPC reflection");
  request->GetReflection()->SetString(request.get(), field_of(*request, field), value);
  CallOutcome outcome = call_method(channel_, kMethod, {request->SerializeAsString()}, {}, timeout_);
  if (outcome.status_code != 0) {
    return fail(ErrorCode::kUnavailable,
                "server reflection: " + status_name(outcome.status_code) + ": " + outcome.status_message);
  }
  if (outcome.replies.size() != 1 || !reply->ParseFromString(outcome.replies[0])) {
    return fail(ErrorCode::kCorrupt, "server reflection: the answer does not decode");
  }
  if (const Message* error = child_of(*reply, "error_response")) {
    return fail(ErrorCode::kNotFound, "server reflection: " + value + ": " + text_of(*error, "error_message"));
  }
  return reply;
}

Result<std::vector<std::string>> Reflection::list_services() {
  auto reply = ask("list_services", "*");
  if (!reply) return std::unexpected(reply.error());
  std::vector<std::string> names;
  const Message* list = child_of(**reply, "list_services_response");
  if (list == nullptr) return names;
  const FieldDescriptor* services = field_of(*list, "service");
  for (int i = 0; i < list->GetReflection()->FieldSize(*list, services); ++i) {
    names.push_back(text_of(list->GetReflection()->GetRepeatedMessage(*list, services, i), "name"));
  }
  return names;
}

Result<const google::protobuf::ServiceDescriptor*> Reflection::find_service(const std::string& name) {
  if (const auto* known = pool_.FindServiceByName(name)) return known;
  auto reply = ask("file_containing_symbol", name);
  if (!reply && reply.error().code == ErrorCode::kNotFound) {
    auto services = list_services();
    std::string all;
    for (const std::string& each : services.value_or(std::vector<std::string>())) all += " " + each;
    return fail(ErrorCode::kNotFound, "service " + name + " is not served there; there are:" + all);
  }
  if (!reply) return std::unexpected(reply.error());
  const Message* files = child_of(**reply, "file_descriptor_response");
  if (files == nullptr) return fail(ErrorCode::kCorrupt, "server reflection: no descriptors for " + name);
  const FieldDescriptor* field = field_of(*files, "file_descriptor_proto");
  for (int i = 0; i < files->GetReflection()->FieldSize(*files, field); ++i) {
    google::protobuf::FileDescriptorProto file;
    if (!file.ParseFromString(files->GetReflection()->GetRepeatedString(*files, field, i))) {
      return fail(ErrorCode::kCorrupt, "server reflection: a descriptor of " + name + " does not decode");
    }
    google::protobuf::FileDescriptorProto known;
    if (!database_.FindFileByName(file.name(), &known)) database_.Add(file);
  }
  const auto* service = pool_.FindServiceByName(name);
  if (service == nullptr)
    return fail(ErrorCode::kCorrupt, "server reflection: the descriptors of " + name + " are not whole");
  return service;
}

}  // namespace tidemark::admin
